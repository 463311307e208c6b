/* The machine and the libraries, as --info prints them. */
#include "host/info.h"

#include "base/memory.h"
#include "base/thread.h"
#include "kernels/fuse.h"
#include "kernels/loops.h"

#include <dlfcn.h>
#include <sleef.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* OpenBLAS's own additions to BLAS, which not every cblas.h declares. */
char *openblas_get_config(void);
char *openblas_get_corename(void);
int openblas_get_parallel(void);
void ilaver_(int *major, int *minor, int *patch);

enum { OPENMP_FLAVOUR = 2 };

static void print_version(lua_State *L) {
  lua_getglobal(L, "sd");
  lua_getfield(L, -1, "version");
  printf("Saddle %s", lua_tostring(L, -1));
  lua_pop(L, 2);
}

void sd_info_print_line(lua_State *L) {
  int n = sd_thread_count();
  print_version(L);
  printf("  (Lua %s.%s, OpenBLAS %s, %d thread%s)", LUA_VERSION_MAJOR,
         LUA_VERSION_MINOR, openblas_get_corename(), n, n == 1 ? "" : "s");
}

/* The file that a symbol was taken from. */
static const char *origin(const char *symbol) {
  Dl_info where;
  void *address = dlsym(RTLD_DEFAULT, symbol);
  return address && dladdr(address, &where) ? where.dli_fname : "?";
}

static void print_blas(void) {
  static const char *const flavours[] = {"sequential", "pthread", "OpenMP"};
  const char *core = openblas_get_corename();
  int flavour = openblas_get_parallel();
  printf("BLAS           %s\n", openblas_get_config());
  printf("               %s flavour, core %s, %s\n",
         flavour >= 0 && flavour <= 2 ? flavours[flavour] : "unknown", core,
         origin("cblas_sgemm"));
  if (flavour != OPENMP_FLAVOUR)
    puts("warning: this OpenBLAS does not share OpenMP's threads and will be "
         "slow;\n         install its OpenMP flavour "
         "(Debian: libopenblas-openmp-dev)");
  if (!strcasecmp(core, "generic") || !strcasecmp(core, "prescott"))
    puts("warning: OpenBLAS does not know this processor and runs its "
         "slowest kernels");
}

static void print_lapack(void) {
  int major, minor, patch;
  ilaver_(&major, &minor, &patch);
  printf("LAPACK         %d.%d.%d, %s\n", major, minor, patch,
         origin("dsyevd_"));
}

static void print_memory(void) {
  SdMemoryStats m = sd_memory_stats();
  double machine = (double)sysconf(_SC_PHYS_PAGES) *
                   (double)sysconf(_SC_PAGESIZE);
  printf("memory         %.1f GB, limit ", machine / 1e9);
  if (m.limit) printf("%.1f GB\n", (double)m.limit / 1e9);
  else puts("none");
}

void sd_info_print(lua_State *L) {
  const char *spin = getenv("GOMP_SPINCOUNT");
  print_version(L);
  printf("\nLua            %s\n", LUA_RELEASE);
  print_blas();
  print_lapack();
  printf("SLEEF          %d.%d.%d\n", SLEEF_VERSION_MAJOR,
         SLEEF_VERSION_MINOR, SLEEF_VERSION_PATCHLEVEL);
  printf("vectors        %s%s\n", sd_loop_vectors(),
         sd_fuse_takes(SD_LOOP_ADD, SD_F32) ? ", chains of ops as machine code"
                                            : "");
  printf("threads        %d\n", sd_thread_count());
  printf("GOMP_SPINCOUNT %s\n", spin ? spin : "not set");
  print_memory();
}
