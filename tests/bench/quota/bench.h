/*
 * bench.h: what a measurement of the coordinator consists of.
 *
 * Invariant: an entry's work ends the program when it could not do all of it, or was allowed or
 * denied what it should not have been, so a figure stands for work that was done.
 */
#ifndef BENCH_QUOTA_H
#define BENCH_QUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct entry {
    const char *name;
    const char *(*absent)(void); /* why there is no figure, or NULL: it is there */
    void (*prepare)(void);
    void (*work)(uint64_t n);
    void (*end)(void);
    unsigned n_threads; /* that work at the same time; 0: one */
    double wanted;      /* it is to take so many times as long as ours; 0: nothing is said */
};

struct row {
    const char *name, *title;
    uint64_t n;    /* of one turn, for each thread */
    double aim_ns; /* ours takes at most so long; 0: nothing is said */
    double aim_p99_ns;
    bool is_latency;                /* each operation is timed by itself */
    const struct entry *entries[3]; /* ours first */
};

extern const struct row gcra_allowed, gcra_denied, gcra_two_threads, window_hundred;
extern const struct row lease_alone, lease_shared, lease_100k, lease_lines, usage_alone;

/* How long one operation took, of a row with latencies; the harness keeps the times. */
void took(uint64_t ns);

uint64_t now_ns(void);
void die(const char *what) __attribute__((noreturn));

/* The shared library of the peer that cargo built; NULL: none was. */
extern const char *governor_path;

#endif
