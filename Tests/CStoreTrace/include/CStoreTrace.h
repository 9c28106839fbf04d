// Stops the world after each store into chosen memory, to see what an end at that very moment would
// leave behind. The memory is kept read-only; a store traps, is let through as a single step, and
// is counted. x86-64 only: elsewhere nothing is ever counted.
#ifndef C_STORE_TRACE_H
#define C_STORE_TRACE_H

#include <stddef.h>

// Whether stores can be traced on this machine.
int store_trace_works(void);

// Begins to count the calling thread's stores into `bytes` bytes at `base`, whole pages, shared
// memory of at most four ranges. After store number `stop`, from 1 on, every range is copied.
// Returns 0, or -1 where there are too many ranges.
int store_trace_add(void *base, size_t bytes);
void store_trace_begin(long stop);

// Whether that store has been.
int store_trace_reached(void);

// Ends the counting. Returns the stores there were, or `stop` where there were more.
long store_trace_end(void);

// Puts the ranges back as they were after store number `stop`. Returns 0, or -1 where there were
// fewer stores.
int store_trace_restore(void);

// Forgets all ranges.
void store_trace_clear(void);

#endif
