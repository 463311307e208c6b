#include "base/thread.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <time.h>

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

/* ---- whether threads pay ------------------------------------------------ */

enum { /* microseconds */
  AWAKE = 12, DOZING = 150,    /* since they worked last */
  WORTH_MEETING = 25, WORTH_CALLING = 50, WORTH_WAKING = 250
};

static struct {
  double met;    /* when threads ended common work */
  double worked; /* when work ended that was worth a meeting */
  double streak; /* such work, without longer pauses than itself */
  int together;  /* the work under way is done by threads */
  int counts;    /* it is worth a meeting */
} state;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int pays(double work) {
  double time = now(), since = time - state.met;
  state.streak = time - state.worked <= work ? state.streak + work : work;
  if (since < AWAKE) return 1;
  if (since < DOZING && work >= WORTH_CALLING) return 1;
  return state.streak >= WORTH_WAKING;
}

int sd_thread_choose(double microseconds) {
  int n = sd_thread_count();
  state.counts = n > 1 && microseconds >= WORTH_MEETING;
  state.together = state.counts && pays(microseconds);
  return state.together ? n : 1;
}

void sd_thread_done(void) {
  if (!state.counts) return;
  state.worked = now();
  if (state.together) state.met = state.worked;
}

void sd_thread_stay_alone(void) {
  alone = 1;
  sd_thread_set_count(1);
}

int sd_thread_deterministic(void) { return deterministic; }

void sd_thread_set_deterministic(int on) { deterministic = on; }
