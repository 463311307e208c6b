/*
** A program is one pass over memory: a run of elementwise instructions over
** one iteration shape, and folds of their results over a run of dims.  A
** block interpreter runs it: registers are blocks of a few hundred elements
** that stay in L1, every input is read once and every output written once,
** in place.  A program that runs again, or long, has its chains of arithmetic
** made into machine code (compile.c), with the same bits.
**
** Building, one program at a time: inputs, constants and instructions give
** registers; sd_program_finish assigns memory to them.  Shapes are fixed,
** layouts of the inputs are looked at anew in each run.
*/
#ifndef SD_PROGRAM_H
#define SD_PROGRAM_H

#include "base/array.h"
#include "kernels/loops.h"

typedef struct SdProgram SdProgram;

/* Limits a builder of programs keeps. */
enum { SD_PROGRAM_INSTRUCTIONS = 96, SD_PROGRAM_OPERANDS = 48 };

SdProgram *sd_program_begin(const SdShape *shape);

/* The next input; shape broadcasts to the program's. */
int sd_program_input(SdProgram *p, SdDtype d, const SdShape *shape);
int sd_program_constant(SdProgram *p, SdDtype d, double value);
/* out has dtype d; the loop is the one for dtype from.  COPY with d != from
** casts.  in holds nin registers. */
int sd_program_instruction(SdProgram *p, SdLoop loop, SdDtype from,
                           SdDtype d, int nin, const int *in);
/* The register becomes the next output, in the program's shape. */
void sd_program_output(SdProgram *p, int reg);

/* How a fold of dims sees the iteration space. */
typedef enum SdFoldLayout { SD_FOLD_NONE, SD_FOLD_ROWS, SD_FOLD_COLUMNS }
    SdFoldLayout;

/* The register folded: ROWS over the trailing dims from dim from on, COLUMNS
** over dims from .. end - 1, end not being the last.  All folds of one
** program agree in layout, from and end.  Folds come after all outputs, in
** call order. */
void sd_program_fold(SdProgram *p, int reg, SdFold fold, SdFoldLayout layout,
                     int from, int end);

/* The program as it is run, held once; NULL when there is no memory. */
SdProgram *sd_program_finish(SdProgram *p, SdError *err);
SdProgram *sd_program_retain(SdProgram *p);
void sd_program_release(SdProgram *p);

/* Whether two finished programs without folds do the same. */
int sd_program_equal(const SdProgram *a, const SdProgram *b);

/* Whether output may be written over input: nothing reads the input after
** the instruction that writes the output. */
int sd_program_may_share(const SdProgram *p, int input, int output);

/* outputs, then folds: contiguous arrays of the right shapes.  An output
** may share its buffer with a contiguous input of the same extent and
** element size. */
SdStatus sd_program_run(SdProgram *p, const SdArray *const *inputs,
                        SdArray *const *outputs, SdError *err);

/* The same where nothing may fail any more: scratch has as many bytes as
** sd_program_scratch says will do for any operands, and an interrupt waits.
** written: the bytes of all that is written before somebody reads it. */
size_t sd_program_scratch(SdProgram *p);
void sd_program_run_whole(SdProgram *p, const SdArray *const *inputs,
                          SdArray *const *outputs, double written,
                          void *scratch);

#endif
