/* LANES before a loop whose output may be exactly an input: no other overlap,
** so lanes are free. */
#ifndef SD_LANES_H
#define SD_LANES_H

#ifdef __clang__
#define LANES _Pragma("clang loop vectorize(enable)")
#else
#define LANES _Pragma("GCC ivdep")
#endif

#endif
