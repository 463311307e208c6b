/*
** An assembler for the few instructions of x86-64 and AVX-512 that fused
** programs are made of: Intel's manual, volume 2, sections 2.1 (REX), 2.3
** (VEX) and 2.7 (EVEX).
*/
#ifndef SD_X86_H
#define SD_X86_H

#include <stddef.h>
#include <stdint.h>

typedef struct SdX86 {
  unsigned char *code;
  size_t used, size; /* beyond size nothing is written, but used grows */
} SdX86;

enum { /* general registers that have a name here */
  SD_RAX = 0, SD_RCX = 1, SD_RDX = 2, SD_RBX = 3, SD_RBP = 5, SD_RSI = 6,
  SD_RDI = 7, SD_R8 = 8
};

/* An instruction on vectors, but for its operands. */
typedef struct SdX86Op {
  int map;    /* of opcodes: 1 is 0F, 2 is 0F 38 */
  int prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
  int wide;   /* EVEX.W */
  int opcode;
  int length; /* 0: 128 bits or one element, 2: 512 bits */
  int mask;   /* the mask register, 0: none */
  int zero;   /* 1: elements masked out become 0 rather than stay */
} SdX86Op;

/* dst = op(a, b), registers all; where an op has one input, a is 0. */
void sd_x86_op(SdX86 *x, SdX86Op op, int dst, int a, int b);
/* reg to or from memory at base + index; index < 0: none. */
void sd_x86_memory(SdX86 *x, SdX86Op op, int reg, int base, int index);
void sd_x86_byte(SdX86 *x, int byte);
void sd_x86_bytes(SdX86 *x, int n, const unsigned char *bytes);
void sd_x86_load(SdX86 *x, int reg, int base, int32_t offset); /* 64 bits */
void sd_x86_immediate(SdX86 *x, int reg, uint64_t value);
void sd_x86_push(SdX86 *x, int reg);
void sd_x86_pop(SdX86 *x, int reg);

/* A jump forward returns a place that land makes it go to. */
enum { SD_JB = 0x82, SD_JZ = 0x84 };
size_t sd_x86_jump(SdX86 *x, int condition);
void sd_x86_land(SdX86 *x, size_t place);
void sd_x86_jump_back(SdX86 *x, int condition, size_t to);

#endif
