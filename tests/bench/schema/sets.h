/*
 * sets.h: the texts that are measured.
 */
#ifndef BENCH_SCHEMA_SETS_H
#define BENCH_SCHEMA_SETS_H

#include "bench.h"

enum { N_SETS = 3 };

/* Bodies as they were sent (JIMBOT_CORPUS, or some made here); then, one event each, the game
 * states among them and everything else. */
extern struct set sets[N_SETS];

void sets_make(void);
void sets_free(void);

#endif
