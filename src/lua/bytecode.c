/*
** What the code of a Lua function may do, read off the bytecode that lua_dump
** writes (Lua 5.4).  The function itself is not run.
**
** A dump is a header, the number of upvalues, and a function: source, lines,
** three bytes, code, constants, upvalues, inner functions, debug information.
** Counts are written seven bits a byte, the highest first, the last byte with
** its top bit set; strings as length + 1, 0 being none.
*/
#include "lua/tensor.h"

#include <stdint.h>
#include <string.h>

enum { HEADER = 31 }; /* bytes before the number of upvalues */

enum { /* tags of constants; others have no value beside the tag */
  INTEGER = 0x03, FLOAT = 0x13, SHORT = 0x04, LONG = 0x14,
};

enum { /* instructions: seven bits; then A: eight, k: one, B, C: eight each */
  GETUPVAL = 9, SETUPVAL = 10, GETTABUP = 11, SETTABUP = 15,
  EQ = 57, EQK = 60, EQI = 61,
  ONE = 128, /* 1 in B of EQI */
};

typedef struct Code {
  lua_State *L;
  int found; /* the table of what was found */
  const unsigned char *at, *end;
} Code;

/* ---- the dump ----------------------------------------------------------- */

static void skip(Code *c, size_t n) {
  if (n > (size_t)(c->end - c->at)) luaL_error(c->L, "reads: bad bytecode");
  c->at += n;
}

static size_t count(Code *c) {
  size_t n = 0;
  for (;;) {
    const unsigned char *byte = c->at;
    skip(c, 1);
    n = n << 7 | (*byte & 0x7f);
    if (*byte & 0x80) return n;
  }
}

static size_t skip_string(Code *c, const char **s) {
  size_t n = count(c);
  *s = (const char *)c->at;
  if (n) skip(c, n - 1);
  return n ? n - 1 : 0;
}

static int is_text(int tag) { return tag == SHORT || tag == LONG; }

static int skip_constant(Code *c, const char **s, size_t *n) {
  int tag = *c->at;
  skip(c, 1);
  if (tag == INTEGER) skip(c, sizeof(lua_Integer));
  if (tag == FLOAT) skip(c, sizeof(lua_Number));
  if (!is_text(tag)) return 0;
  *n = skip_string(c, s);
  return 1;
}

/* The debug information; returns the number of the upvalue _ENV, or -1. */
static int skip_debug(Code *c) {
  const char *s;
  int env = -1;
  skip(c, count(c));
  for (size_t n = count(c); n > 0; n--) {
    count(c);
    count(c);
  }
  for (size_t n = count(c); n > 0; n--) {
    skip_string(c, &s);
    count(c);
    count(c);
  }
  size_t names = count(c);
  for (size_t i = 0; i < names; i++) {
    size_t n = skip_string(c, &s);
    if (n == 4 && !memcmp(s, "_ENV", 4)) env = (int)i;
  }
  return env;
}

/* ---- what is found ------------------------------------------------------ */

static void note(const Code *c, const char *set) {
  lua_pushboolean(c->L, 1);
  lua_setfield(c->L, c->found, set);
}

static void note_in(const Code *c, const char *set, const char *s, size_t n) {
  lua_getfield(c->L, c->found, set);
  lua_pushlstring(c->L, s, n);
  lua_pushboolean(c->L, 1);
  lua_rawset(c->L, -3);
  lua_pop(c->L, 1);
}

/* Constant number k of those that begin at c->at: its tag, and its text when
** it is a string. */
static int find_constant(Code c, size_t k, const char **s, size_t *n) {
  count(&c);
  for (size_t i = 0; i < k; i++) skip_constant(&c, s, n);
  int tag = *c.at;
  skip_constant(&c, s, n);
  return tag;
}

static void note_global(const Code *constants, size_t k) {
  const char *s;
  size_t n;
  if (is_text(find_constant(*constants, k, &s, &n)))
    note_in(constants, "globals", s, n);
  else note(constants, "opaque");
}

static void note_comparison(const Code *constants, size_t k) {
  const char *s;
  size_t n;
  int tag = find_constant(*constants, k, &s, &n);
  if (tag == INTEGER || tag == FLOAT) note(constants, "compares");
}

static void read_instruction(const Code *constants, uint32_t i, int env) {
  uint32_t op = i & 0x7f, b = i >> 16 & 0xff, k = i >> 24;
  switch (op) {
  case EQ: note(constants, "compares"); break;
  case EQK: note_comparison(constants, b); break;
  case EQI: note(constants, b == ONE ? "compares_one" : "compares"); break;
  case SETUPVAL: case SETTABUP: note(constants, "writes"); break;
  case GETUPVAL:
    if ((int)b == env) note(constants, "opaque");
    break;
  case GETTABUP:
    if ((int)b == env) note_global(constants, k);
    break;
  default: break;
  }
}

static void read_function(Code *c) {
  const char *s;
  luaL_checkstack(c->L, 8, "reads");
  skip_string(c, &s);
  count(c);
  count(c);
  skip(c, 3);
  size_t length = count(c), n;
  const unsigned char *code = c->at;
  skip(c, length * sizeof(uint32_t));
  Code constants = *c;
  for (size_t i = count(c); i > 0; i--)
    if (skip_constant(c, &s, &n)) note_in(c, "strings", s, n);
  skip(c, 3 * count(c));
  for (size_t i = count(c); i > 0; i--) read_function(c);
  int env = skip_debug(c);
  for (size_t i = 0; i < length; i++) {
    uint32_t instruction;
    memcpy(&instruction, code + i * sizeof instruction, sizeof instruction);
    read_instruction(&constants, instruction, env);
  }
}

/* ---- the function ------------------------------------------------------- */

typedef struct Dump {
  int begun; /* the buffer lies above the function, which must be on the top */
  luaL_Buffer buffer;
} Dump;

static int add(lua_State *L, const void *bytes, size_t n, void *to) {
  Dump *d = to;
  if (!d->begun) luaL_buffinit(L, &d->buffer);
  d->begun = 1;
  luaL_addlstring(&d->buffer, bytes, n);
  return 0;
}

/* reads(f) -> what a function in Lua and those inside it do: { globals = set
** of the names they read, strings = set of their constants, compares_one,
** compares = whether they test for equality with 1, with anything else that is
** not nil, a boolean or a constant string, writes = whether they set globals
** or variables from outside, opaque = whether more may be reached }. */
static int core_reads(lua_State *L) {
  Code c = {.L = L, .found = 2};
  size_t n;
  Dump dump = {0};
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_argcheck(L, !lua_iscfunction(L, 1), 1, "is not written in Lua");
  lua_settop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_setfield(L, 2, "globals");
  lua_newtable(L);
  lua_setfield(L, 2, "strings");
  lua_pushvalue(L, 1);
  lua_dump(L, add, &dump, 0);
  luaL_pushresult(&dump.buffer);
  c.at = (const unsigned char *)lua_tolstring(L, -1, &n);
  c.end = c.at + n;
  skip(&c, HEADER + 1);
  read_function(&c);
  lua_settop(L, 2);
  return 1;
}

void sd_lua_open_bytecode(lua_State *L) {
  lua_pushcfunction(L, core_reads);
  lua_setfield(L, -2, "reads");
}
