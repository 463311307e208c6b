/*
** The thread count, and the modes that depend on it.  Loops that run on
** several threads use OpenMP directly, over pieces cut at fixed places.
*/
#ifndef SD_THREAD_H
#define SD_THREAD_H

int sd_thread_count(void);
void sd_thread_set_count(int n); /* n >= 1; OpenBLAS follows */

/* How many threads pay for work that one of them does in about so many
** microseconds; sd_thread_done() says that it has ended.  To meet takes them
** 3 us while they are awake, some 15 us after their last common work, 12 us
** while the processor is, and 90 (on a virtual machine; 10 on others) when it
** sleeps: then they are called for long work only, or for work that keeps
** coming. */
int sd_thread_choose(double microseconds);
void sd_thread_done(void);

/* One thread from now on, whatever is set: a forked copy of a process does not
** have the threads that OpenMP believes in, and would wait for them. */
void sd_thread_stay_alone(void);

/* Same bits for any number of threads, at any cost. */
int sd_thread_deterministic(void);
void sd_thread_set_deterministic(int on);

#endif
