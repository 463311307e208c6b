/*
** The allocator, buffers and the thread count.
*/
#include "tap.h"

#include "base/array.h"
#include "base/memory.h"
#include "base/thread.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
enum { CACHING = 0 };
#else
enum { CACHING = 1 };
#endif

static SdError err;

static const size_t sizes[] = {0, 1, 63, 64, 65, 4095, 4096, 4097, 5120, 5121,
                               8191, 8192, 8193, 100000, 2097151, 2097152,
                               2097153, 3000001, 40000000};
enum { NSIZES = sizeof sizes / sizeof *sizes };

static void aligned_and_whole(void) {
  void *p[NSIZES];
  int aligned = 1, whole = 1;
  for (int i = 0; i < NSIZES; i++) {
    p[i] = sd_memory_alloc(sizes[i], &err);
    aligned &= p[i] && (uintptr_t)p[i] % 64 == 0;
    if (sizes[i]) memset(p[i], i, sizes[i]);
  }
  for (int i = 0; i < NSIZES; i++) {
    const unsigned char *at = p[i];
    for (size_t k = 0; k < sizes[i]; k++) whole &= at[k] == i;
    sd_memory_free(p[i], sizes[i]);
  }
  ok(aligned, "blocks of all sizes are 64-byte aligned");
  ok(whole, "blocks do not overlap");
  ok((uintptr_t)p[NSIZES - 1] % (2u << 20) == 0 || !CACHING,
     "a block of 40 MB starts at a huge page");
}

static void counts_bytes(void) {
  SdMemoryStats a = sd_memory_stats();
  void *p = sd_memory_alloc(1000000, &err);
  SdMemoryStats b = sd_memory_stats();
  ok(b.live >= a.live + 1000000 && b.live < a.live + 1300000,
     "live counts the block, rounded up by a quarter at most");
  ok(b.count == a.count + 1 && b.peak >= b.live, "count and peak follow");
  sd_memory_free(p, 1000000);
  ok(sd_memory_stats().live == a.live, "free gives live back");
  sd_memory_reset_peak();
  ok(sd_memory_stats().peak == a.live, "the peak starts again");
}

static void reuses(void) {
  int same = 1;
  for (int i = 0; i < NSIZES; i++) {
    void *p = sd_memory_alloc(sizes[i], &err);
    uintptr_t before = (uintptr_t)p;
    sd_memory_free(p, sizes[i]);
    p = sd_memory_alloc(sizes[i], &err);
    same &= (uintptr_t)p == before;
    sd_memory_free(p, sizes[i]);
  }
  ok(same || !CACHING, "the block freed last is handed out first");
  size_t cached = sd_memory_stats().cached;
  sd_memory_trim();
  ok(sd_memory_stats().cached < cached || !CACHING, "trim gives blocks back");
}

static size_t resident(void) {
  unsigned long pages = 0, whole = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (!f || fscanf(f, "%lu %lu", &whole, &pages) != 2) pages = 0;
  if (f) fclose(f);
  return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void middle_sizes(void) {
  enum { N = 120 };
  static const size_t each[] = {65536, 70001, 1000000, 1500000, 2097151};
  void *p[N];
  size_t bytes = 0, full;
  int whole = 1;
  for (int round = 0; round < 2; round++) {
    bytes = 0;
    for (int i = 0; i < N; i++) {
      p[i] = sd_memory_alloc(each[i % 5], &err);
      memset(p[i], i + round, each[i % 5]);
      bytes += each[i % 5];
    }
    full = resident();
    for (int i = 0; i < N; i++) {
      const unsigned char *at = p[i];
      for (size_t k = 0; k < each[i % 5]; k++) whole &= at[k] == i + round;
      sd_memory_free(p[i], each[i % 5]);
    }
    sd_memory_trim();
    ok(!full || !CACHING || resident() + bytes * 9 / 10 < full,
       "blocks of 64 kB to 2 MB leave their pages: %zu of %zu stay of %zu",
       resident(), full, bytes);
  }
  ok(whole, "and may be used again");
}

static void cache_is_bounded(void) {
  enum { N = 24 };
  void *p[N];
  size_t each = (size_t)64 << 20;
  for (int i = 0; i < N; i++) p[i] = sd_memory_alloc(each, &err);
  for (int i = 0; i < N; i++) sd_memory_free(p[i], each);
  ok(sd_memory_stats().cached <= ((size_t)1 << 30) + (1 << 20),
     "at most 1 GiB waits in the cache");
  sd_memory_trim();
}

static void respects_limit(void) {
  size_t machine = sd_memory_stats().limit;
  ok(machine > (size_t)64 << 20, "the limit starts as the machine's memory");
  sd_memory_set_limit(100000000);
  void *p = sd_memory_alloc(60000000, &err);
  ok(p != NULL, "60 of 100 MB can be had");
  err.code = SD_OK;
  ok(!sd_memory_alloc(40000000, &err) && err.code == SD_EMEMORY,
     "another 40 cannot, beside the tests' own bytes");
  ok(strstr(err.message, "out of memory: 40.0 MB asked for") &&
         strstr(err.message, "limit 100.0 MB"),
     "the message has the figures: %s", err.message);
  sd_memory_free(p, 60000000);
  sd_memory_set_limit(0);
  ok(sd_memory_stats().limit == machine, "0 means the machine again");
  ok(!sd_memory_alloc(SIZE_MAX, &err) && !sd_memory_alloc(SIZE_MAX - 63, &err),
     "absurd sizes are refused");
  sd_memory_set_limit(SIZE_MAX);
  ok(!sd_memory_alloc((size_t)1 << 62, &err) && err.code == SD_EMEMORY,
     "what the system refuses is refused whatever the limit");
  sd_memory_set_limit(0);
}

static void fails_on_purpose(void) {
  sd_memory_fail_after(2);
  void *p = sd_memory_alloc(10, &err), *q = sd_memory_alloc(10, &err);
  ok(p && !q, "the second allocation fails as ordered");
  q = sd_memory_alloc(10, &err);
  ok(q != NULL, "once");
  sd_memory_free(p, 10);
  sd_memory_free(q, 10);
}

static void grows(void) {
  int *items = NULL;
  size_t capacity = 0;
  int kept = 1;
  for (int i = 0; i < 10000; i++) {
    SdStatus s = sd_memory_grow(&items, &capacity, (size_t)i + 1,
                                sizeof *items, &err);
    if (s != SD_OK) break;
    items[i] = i;
  }
  for (int i = 0; i < 10000; i++) kept &= items[i] == i;
  ok(kept && capacity >= 10000 && capacity < 40000, "a grown list is kept");
  size_t before = capacity;
  ok(sd_memory_grow(&items, &capacity, SIZE_MAX / 2, 8, &err) == SD_EMEMORY &&
         capacity == before && items[9999] == 9999,
     "growing beyond all bounds fails and loses nothing");
  sd_memory_free(items, capacity * sizeof *items);
}

static void arrays(void) {
  SdMemoryStats before = sd_memory_stats();
  SdShape shape = sd_shape_make(2, (int64_t[]){3, 5});
  SdArray a, b;
  ok(sd_array_new(&a, SD_F64, &shape, &err) == SD_OK && a.buffer->refs == 1 &&
         a.buffer->bytes == 120 && sd_array_is_contiguous(&a) &&
         sd_array_numel(&a) == 15,
     "a new array is contiguous and owns its buffer");
  b = sd_array_retain(&a);
  sd_array_release(&a);
  ok(!a.buffer && b.buffer->refs == 1, "a view keeps the buffer alive");
  b.strides[0] = 10;
  ok(!sd_array_is_contiguous(&b), "gaps between rows are seen");
  b.shape.dims[0] = 1;
  ok(sd_array_is_contiguous(&b), "the stride of an extent of 1 is not");
  b.shape.dims[1] = 0;
  b.strides[1] = 7;
  ok(sd_array_is_contiguous(&b), "an array without elements is contiguous");
  sd_array_release(&b);
  shape = sd_shape_make(1, (int64_t[]){1000});
  for (size_t nth = 1; nth <= 2; nth++) {
    sd_memory_fail_after(nth);
    ok(sd_array_new(&a, SD_F64, &shape, &err) == SD_EMEMORY && !a.buffer,
       "an array without memory is an error (allocation %d)", (int)nth);
  }
  ok(sd_memory_stats().live == before.live, "nothing was lost on the way");
}

static void threads(void) {
  int n = sd_thread_count();
  sd_thread_set_count(1);
  ok(n >= 1 && sd_thread_count() == 1, "the thread count can be set");
  sd_thread_set_count(n);
  sd_thread_set_deterministic(1);
  ok(sd_thread_deterministic() == 1, "deterministic mode can be asked for");
  sd_thread_set_deterministic(0);
}

int main(void) {
  aligned_and_whole();
  counts_bytes();
  reuses();
  middle_sizes();
  cache_is_bounded();
  respects_limit();
  fails_on_purpose();
  grows();
  arrays();
  threads();
  return done();
}
