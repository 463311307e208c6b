/*
** A script's call of an op, after its arguments were read.  An op's args
** string says what they are:
**
**   "x dim:D? keepdim:B=0"
**
** a name, a kind (none: a tensor), `?` or `=default` where it may be left
** out.  Arguments are taken in order; any that are not tensors may also be
** given by name in one table that comes last.
**
**   T tensor or number      L list of tensors       I whole number
**   F number                B boolean               S shape: the rest
**   D dims: a number or a list of numbers           Y dtype name
**   J a tensor's shape as a list                    G generator
*/
#ifndef SD_CALL_H
#define SD_CALL_H

#include "graph/node.h"

enum { SD_MAX_ARGS = 8, SD_MAX_LIST = 64 };

typedef struct SdArgument {
  int given;
  SdNode *x;               /* T */
  SdNode **list;           /* L: n nodes */
  int n;                   /* L, D, S, J */
  int64_t i[SD_MAX_LIST];  /* I, B in i[0]; D, S, J; Y: the dtype in i[0] */
  double f;                /* F */
  void *data;              /* G */
} SdArgument;

struct SdCall {
  const char *name; /* of the op, for messages */
  int n;
  SdArgument a[SD_MAX_ARGS];
};

/* The 0-based dim that argument d (1-based, negative from the end) names in
** a tensor of ndim dims; -1 with b->error filled if there is none. */
int sd_call_dim(SdBuilder *b, const char *name, int64_t d, int ndim);

/* The set of dims named by a D argument, as bits; all when it is not given.
** Repeated dims are an error; -1 on failure. */
int64_t sd_call_dims(SdBuilder *b, const char *name, const SdArgument *a,
                     int ndim);

#endif
