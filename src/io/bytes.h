/*
** Integers of a given byte order in files, whatever the machine's own.
*/
#ifndef SD_BYTES_H
#define SD_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The low n bytes of v, lowest first. */
static inline void sd_bytes_put(unsigned char *p, uint64_t v, int n) {
  for (int i = 0; i < n; i++) p[i] = (unsigned char)(v >> 8 * i);
}

static inline uint64_t sd_bytes_get(const unsigned char *p, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
  return v;
}

static inline int sd_bytes_little_endian(void) {
  const uint16_t one = 1;
  return *(const unsigned char *)&one;
}

/* Reverses the bytes of each of count elements. */
static inline void sd_bytes_swap(void *data, size_t count, size_t width) {
  unsigned char *p = data;
  for (size_t i = 0; i < count; i++, p += width)
    for (size_t a = 0, b = width - 1; a < b; a++, b--) {
      unsigned char t = p[a];
      p[a] = p[b];
      p[b] = t;
    }
}

#endif
