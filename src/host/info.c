#include "host/info.h"

#include "base/memory.h"
#include "base/thread.h"
#include "kernels/loops.h"

#include <dlfcn.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *openblas_get_config(void);
char *openblas_get_corename(void);
int openblas_get_parallel(void);
void cblas_sgemm(void);

static void print_blas(void) {
  static const char *const flavours[] = {"one thread", "pthread", "OpenMP"};
  Dl_info where;
  void *address;
  void (*gemm)(void) = cblas_sgemm;
  memcpy(&address, &gemm, sizeof address);
  int kind = openblas_get_parallel();
  printf("BLAS       %s\n", openblas_get_config());
  printf("           core %s, flavour %s\n", openblas_get_corename(),
         kind >= 0 && kind <= 2 ? flavours[kind] : "unknown");
  if (dladdr(address, &where)) printf("           %s\n", where.dli_fname);
  if (kind != 2)
    puts("           WARNING: not the OpenMP flavour: loops and products "
         "fight for the cores;\n           install libopenblas-openmp-dev");
  const char *core = openblas_get_corename();
  if (!strcmp(core, "Prescott") || !strcmp(core, "Generic") ||
      !strcmp(core, "generic"))
    puts("           WARNING: generic kernels: products will be slow");
}

void host_info_print(void) {
  SdMemoryStats m = sd_memory_stats();
  const char *spin = getenv("GOMP_SPINCOUNT");
  printf("saddle     0.1.0\nLua        %s\n", LUA_RELEASE);
  print_blas();
  printf("LAPACK     OpenBLAS's, through LAPACKE\n");
  printf("vectors    %s (SLEEF)\n", sd_loop_vectors());
  printf("threads    %d, spin count %s\n", sd_thread_count(),
         spin ? spin : "not set");
  printf("memory     limit %.1f GB\n", (double)m.limit / 1e9);
}
