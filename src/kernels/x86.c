#include "kernels/x86.h"

#include <string.h>

void sd_x86_byte(SdX86 *x, int byte) {
  if (x->used < x->size) x->code[x->used] = (unsigned char)byte;
  x->used++;
}

void sd_x86_bytes(SdX86 *x, int n, const unsigned char *bytes) {
  for (int i = 0; i < n; i++) sd_x86_byte(x, bytes[i]);
}

static void word(SdX86 *x, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) sd_x86_byte(x, (int)(value >> 8 * i & 255));
}

/* high_x and high_b: the fifth and fourth bits of the last operand, or the
** fourth ones of index and base. */
static void evex(SdX86 *x, SdX86Op op, int reg, int a, int high_x,
                 int high_b) {
  sd_x86_byte(x, 0x62);
  sd_x86_byte(x, !(reg & 8) << 7 | !high_x << 6 | !high_b << 5 |
                     !(reg & 16) << 4 | op.map);
  sd_x86_byte(x, op.wide << 7 | (~a & 15) << 3 | 4 | op.prefix);
  sd_x86_byte(x, op.zero << 7 | op.length << 5 | !(a & 16) << 3 | op.mask);
  sd_x86_byte(x, op.opcode);
}

void sd_x86_op(SdX86 *x, SdX86Op op, int dst, int a, int b) {
  evex(x, op, dst, a, b & 16, b & 8);
  sd_x86_byte(x, 0xC0 | (dst & 7) << 3 | (b & 7));
}

void sd_x86_memory(SdX86 *x, SdX86Op op, int reg, int base, int index) {
  int none = index < 0, at_bp = (base & 7) == SD_RBP;
  evex(x, op, reg, 0, !none && (index & 8), base & 8);
  /* a scaled index follows; bp as a base always has an offset */
  sd_x86_byte(x, at_bp << 6 | (reg & 7) << 3 | 4);
  sd_x86_byte(x, (none ? 4 : index & 7) << 3 | (base & 7));
  if (at_bp) sd_x86_byte(x, 0);
}

/* base: none that has the number of sp in its low bits */
void sd_x86_load(SdX86 *x, int reg, int base, int32_t offset) {
  sd_x86_byte(x, 0x48 | (reg >> 3) << 2 | base >> 3);
  sd_x86_byte(x, 0x8B);
  sd_x86_byte(x, 0x80 | (reg & 7) << 3 | (base & 7));
  word(x, (uint32_t)offset, 4);
}

void sd_x86_immediate(SdX86 *x, int reg, uint64_t value) {
  sd_x86_byte(x, 0x48 | reg >> 3);
  sd_x86_byte(x, 0xB8 | (reg & 7));
  word(x, value, 8);
}

void sd_x86_push(SdX86 *x, int reg) {
  if (reg & 8) sd_x86_byte(x, 0x41);
  sd_x86_byte(x, 0x50 | (reg & 7));
}

void sd_x86_pop(SdX86 *x, int reg) {
  if (reg & 8) sd_x86_byte(x, 0x41);
  sd_x86_byte(x, 0x58 | (reg & 7));
}

size_t sd_x86_jump(SdX86 *x, int condition) {
  sd_x86_byte(x, 0x0F);
  sd_x86_byte(x, condition);
  word(x, 0, 4);
  return x->used;
}

void sd_x86_land(SdX86 *x, size_t place) {
  uint32_t distance = (uint32_t)(x->used - place);
  if (place <= x->size) memcpy(x->code + place - 4, &distance, 4);
}

void sd_x86_jump_back(SdX86 *x, int condition, size_t to) {
  sd_x86_byte(x, 0x0F);
  sd_x86_byte(x, condition);
  word(x, (uint32_t)(to - (x->used + 4)), 4);
}
