/*
** Files of arrays, for lua/saddle/files.lua and data.lua.  Every call raises
** an error that names the path.
*/
#include "lua/globals.h"
#include "lua/tensor.h"

#include "io/file.h"
#include "io/idx.h"
#include "io/npy.h"
#include "io/npz.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define NPZ "saddle.npz"

/* ---- one array ---------------------------------------------------------- */

typedef SdStatus (*Reader)(const char *path, SdArray *out, SdError *err);

/* A sandboxed script reaches no files, through the library neither. */
static void check_sandbox(lua_State *L, const char *what) {
  if (sd_lua_in_sandbox(L))
    sd_lua_fail(L, "%s: files are not available in --sandbox", what);
}

/* Gives the handle a leaf over *a, which is taken over. */
static void fill_array(lua_State *L, SdNode **h, SdArray *a) {
  SdBuilder b;
  sd_builder_open(&b);
  SdNode *n = sd_node_leaf(&b, a);
  if (n) sd_lua_fill(h, n);
  sd_lua_close(L, &b);
}

static int read_with(lua_State *L, Reader read) {
  check_sandbox(L, "read");
  const char *path = luaL_checkstring(L, 1);
  SdNode **h = sd_lua_push_handle(L);
  SdArray a;
  SdError err;
  SdStatus s;
  int tried = 0;
  do {
    s = read(path, &a, &err);
  } while (sd_lua_retry(L, s, &tried));
  if (s != SD_OK) return sd_lua_raise(L, &err);
  fill_array(L, h, &a);
  sd_lua_charge(L);
  return 1;
}


static int core_read_npy(lua_State *L) { return read_with(L, sd_npy_read); }
static int core_read_idx(lua_State *L) { return read_with(L, sd_idx_read); }

static int core_write_npy(lua_State *L) {
  check_sandbox(L, "write_npy");
  SdError err;
  const char *path = luaL_checkstring(L, 1);
  SdNode *x = sd_lua_check_tensor(L, 2, "write_npy");
  sd_lua_eval(L, &x, 1);
  if (sd_npy_write(path, x->value, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  return 0;
}

/* ---- archives ----------------------------------------------------------- */

/* An archive open for reading lives in a userdata: any Lua call may raise. */
static int npz_gc(lua_State *L) {
  SdNpz **z = lua_touserdata(L, 1);
  sd_npz_close(*z);
  *z = NULL;
  return 0;
}

static SdNpz **push_npz(lua_State *L) {
  SdNpz **z = lua_newuserdatauv(L, sizeof *z, 0);
  *z = NULL;
  if (luaL_newmetatable(L, NPZ)) {
    lua_pushcfunction(L, npz_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return z;
}

/* Pushes array i. */
static void push_member(lua_State *L, SdNpz *z, int64_t i) {
  SdNode **h = sd_lua_push_handle(L);
  SdArray a;
  SdError err;
  SdStatus s;
  int tried = 0;
  do {
    s = sd_npz_read(z, i, &a, &err);
  } while (sd_lua_retry(L, s, &tried));
  if (s != SD_OK) sd_lua_raise(L, &err);
  fill_array(L, h, &a);
}

/* read_npz(path) -> a table from names to tensors */
static int core_read_npz(lua_State *L) {
  check_sandbox(L, "read_npz");
  SdError err;
  const char *path = luaL_checkstring(L, 1);
  SdNpz **z = push_npz(L);
  if (sd_npz_open(path, z, &err) != SD_OK) return sd_lua_raise(L, &err);
  lua_newtable(L);
  for (int64_t i = 0; i < sd_npz_count(*z); i++) {
    push_member(L, *z, i);
    lua_setfield(L, -2, sd_npz_name(*z, i));
  }
  sd_npz_close(*z);
  *z = NULL;
  sd_lua_charge(L);
  return 1;
}

static SdStatus write_members(const char *path, const char *const *names,
                              SdNode *const *nodes, int n, SdError *err) {
  SdNpzWriter *w;
  if (sd_npz_begin(path, &w, err) != SD_OK) return err->code;
  for (int i = 0; i < n; i++) {
    if (sd_npz_add(w, names[i], nodes[i]->value, err) != SD_OK) {
      sd_npz_abort(w);
      return err->code;
    }
  }
  return sd_npz_finish(w, err);
}

/* write_npz(path, names, tensors): the tables keep strings and nodes alive */
static int core_write_npz(lua_State *L) {
  check_sandbox(L, "write_npz");
  SdError err;
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  int n = (int)lua_rawlen(L, 2);
  size_t room = (size_t)n + 1;
  const char **names = lua_newuserdatauv(L, room * sizeof *names, 0);
  SdNode **nodes = lua_newuserdatauv(L, room * sizeof *nodes, 0);
  for (int i = 0; i < n; i++) {
    if (lua_rawgeti(L, 2, i + 1) != LUA_TSTRING)
      return sd_lua_fail(L, "write_npz: a name is a %s",
                         luaL_typename(L, -1));
    names[i] = lua_tostring(L, -1);
    lua_rawgeti(L, 3, i + 1);
    nodes[i] = sd_lua_check_tensor(L, -1, "write_npz");
    lua_pop(L, 2);
  }
  sd_lua_eval(L, nodes, n);
  if (write_members(path, names, nodes, n, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  return 0;
}

/* ---- bytes -------------------------------------------------------------- */

/* Makes room for twice the bytes; the first used ones stay. */
static SdStatus grow(SdArray *a, int64_t used, SdError *err) {
  SdArray wider;
  SdShape s = {1, {2 * a->shape.dims[0]}};
  if (sd_array_new(&wider, SD_U8, &s, err) != SD_OK) return err->code;
  memcpy(wider.data, a->data, (size_t)used);
  sd_array_release(a);
  *a = wider;
  return SD_OK;
}

/* Reads to the end of f; a is an array to begin with. */
static SdStatus read_stream(gzFile f, const char *path, SdArray *a,
                            SdError *err) {
  int64_t used = 0;
  for (;;) {
    int64_t room = a->shape.dims[0] - used;
    unsigned part = room < 1 << 24 ? (unsigned)room : 1 << 24;
    int code, n = gzread(f, (char *)a->data + used, part);
    const char *why = gzerror(f, &code);
    if (code == Z_ERRNO) return sd_file_error("read", path, err);
    if (n < 0 || code != Z_OK)
      return sd_error_set(err, SD_EIO, "'" SD_FILE_NAME "': corrupt gzip "
                          "data: %.100s", path, why);
    used += n;
    if ((unsigned)n < part) break;
    if (n == room && grow(a, used, err) != SD_OK) return err->code;
  }
  a->shape.dims[0] = used;
  return SD_OK;
}

/* A whole file as u8 {n}; gzipped ones are unpacked. */
static SdStatus read_bytes(const char *path, SdArray *out, SdError *err) {
  int fd;
  uint64_t size;
  if (sd_file_open(path, &fd, &size, err) != SD_OK) return err->code;
  gzFile f = gzdopen(fd, "rb");
  if (!f) {
    close(fd);
    return sd_error_set(err, SD_EMEMORY, "gzip: out of memory");
  }
  SdShape s = {1, {(int64_t)size + 1}};
  SdStatus status = sd_array_new(out, SD_U8, &s, err);
  if (status == SD_OK && (status = read_stream(f, path, out, err)) != SD_OK)
    sd_array_release(out);
  gzclose(f);
  return status;
}

static int core_read_bytes(lua_State *L) { return read_with(L, read_bytes); }

/* read_text(path) -> string, unpacked like read_bytes */
static int core_read_text(lua_State *L) {
  check_sandbox(L, "read_text");
  read_with(L, read_bytes);
  const SdArray *a = sd_lua_tensor(L, -1)->value;
  lua_pushlstring(L, a->data, (size_t)a->shape.dims[0]);
  return 1;
}

/* is_file(path): whether it is a regular file that can be read */
static int core_is_file(lua_State *L) {
  check_sandbox(L, "is_file");
  SdError err;
  int fd;
  uint64_t size;
  int found =
      sd_file_open(luaL_checkstring(L, 1), &fd, &size, &err) == SD_OK;
  if (found) close(fd);
  lua_pushboolean(L, found);
  return 1;
}

static int core_mkdirs(lua_State *L) {
  check_sandbox(L, "mkdirs");
  SdError err;
  if (sd_file_make_dirs(luaL_checkstring(L, 1), &err) != SD_OK)
    return sd_lua_raise(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

/* write_atomic(path, bytes): readers see the old file or all of the new */
static int core_write_atomic(lua_State *L) {
  check_sandbox(L, "write_atomic");
  SdError err;
  size_t n;
  const char *path = luaL_checkstring(L, 1);
  const char *bytes = luaL_checklstring(L, 2, &n);
  if (sd_file_write_atomic(path, bytes, n, &err) != SD_OK)
    return sd_lua_raise(L, &err);
  lua_pushboolean(L, 1);
  return 1;
}

void sd_lua_open_io(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"read_npy", core_read_npy},   {"write_npy", core_write_npy},
      {"read_npz", core_read_npz},   {"write_npz", core_write_npz},
      {"read_idx", core_read_idx},   {"read_bytes", core_read_bytes},
      {"read_text", core_read_text}, {"is_file", core_is_file},
      {"mkdirs", core_mkdirs},       {"write_atomic", core_write_atomic},
      {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
