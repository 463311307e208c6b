/* For how much work threads are called. */
#include "tap.h"

#include "base/thread.h"

#include <time.h>

int main(void) {
  int before = sd_thread_count();
  sd_thread_set_count(1);
  ok(sd_thread_choose(1e6) == 1, "one thread is all there is");
  sd_thread_done();
  sd_thread_set_count(2);
  ok(sd_thread_choose(1) == 1, "a microsecond is done alone");
  sd_thread_done();
  ok(sd_thread_choose(100) == 1, "nobody is woken for a tenth of one ms");
  sd_thread_done();
  ok(sd_thread_choose(1000) == 2, "for a millisecond all are");
  sd_thread_done();
  struct timespec nap = {.tv_nsec = 5000000};
  nanosleep(&nap, NULL);
  ok(sd_thread_choose(100) == 1, "later they sleep again");
  sd_thread_done();
  int called = 0; /* a busy machine may break a streak */
  for (int i = 0; i < 10000 && !called; i++) {
    called = sd_thread_choose(100) == 2;
    sd_thread_done();
  }
  ok(called, "or for tenths that keep coming");
  sd_thread_set_count(before);
  return done();
}
