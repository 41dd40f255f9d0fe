/*
 * top.h: what a screen of `top` shows.
 *
 * Invariant: a rate is the difference of two snapshots by the time between them, never a guess.
 */
#ifndef JIMBOTCTL_TOP_H
#define JIMBOTCTL_TOP_H

#include "ctl.h"
#include "snapshot.h"
#include "text.h"

#include <stdio.h>

/* A line of a list: which one, and by what it is sorted. */
typedef struct rank {
    uint32_t i;
    double rate;
} rank;

typedef struct top {
    const ctl_opts *opts;
    snapshot before;
    snapshot now;
    double seconds;
    rank *peers;
    rank *subs;
} top;

/* The lists, busiest first, n_rows of each at most; what is left out is said. 0, or -1 and errno.
 */
int put_peers(FILE *out, top *t, uint32_t n_rows);
int put_subs(FILE *out, top *t, uint32_t n_rows);
int put_groups(FILE *out, const top *t, uint32_t n_rows);

/* A share of a whole as a bar. `to` has room for width + 1; returns it. */
const char *bar(char *to, size_t width, uint64_t part, uint64_t whole);

label per_second(double rate);

/* Put the busiest first. */
void sort_all(top *t);

#endif
