#include "base/thread.h"

#ifdef _OPENMP
#include <omp.h>
#endif

void openblas_set_num_threads(int n);

static int deterministic;
static int alone;

int sd_thread_count(void) {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}

void sd_thread_set_count(int n) {
  if (alone) n = 1;
#ifdef _OPENMP
  omp_set_num_threads(n);
#endif
  openblas_set_num_threads(n);
}

void sd_thread_stay_alone(void) {
  alone = 1;
  sd_thread_set_count(1);
}

int sd_thread_deterministic(void) { return deterministic; }

void sd_thread_set_deterministic(int on) { deterministic = on; }
