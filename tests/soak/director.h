/*
 * director.h: one round of a soak: a bus, everyone who takes part in it, and who dies when.
 *
 * Invariant: when a round has ended well, every process it started has ended, every life is
 * balanced and nothing of the bus is left.
 */
#ifndef SOAK_DIRECTOR_H
#define SOAK_DIRECTOR_H

#include "books.h"

enum { DIRECTOR_TIMES = 1 << 16 };

struct soak_options {
    uint64_t seed;
    uint64_t seconds;
    uint64_t round_seconds;  /* 0: a third of it all, at most a minute */
    uint64_t capacity_bytes; /* 0: another one each round */
    uint32_t slow;           /* patience: how many times longer than usual before it is a hang */
};

/* What happened, over all rounds. */
struct deeds {
    uint64_t n_starts;
    uint64_t n_kills;
    uint64_t n_own_deaths; /* who killed themselves with an open claim or unacknowledged events */
    uint64_t n_stops;
    uint64_t n_ends;        /* asked to close and leave */
    uint64_t n_kill_rounds; /* one kill, or several at once */
    uint64_t n_recovered;
    uint32_t n_timed; /* recoveries while nobody was stopped */
    uint32_t n_halts; /* the director itself got no turn: HALT_NS in director.c */
    uint64_t longest_halt_ns;
    uint32_t first_us[DIRECTOR_TIMES];
    uint32_t lap_us[DIRECTOR_TIMES];
    uint64_t begin_ns;
};

struct soak {
    struct soak_options options;
    struct books books;
    struct deeds deeds;
    uint32_t round;
    char folder[128]; /* where the buses are */
};

/* 0, 1 after a violation (the report is printed, the segment stays), 130 when interrupted. */
int director_round(struct soak *soak, uint64_t seconds, uint64_t capacity_bytes);

/* SIGINT or SIGTERM came. */
void director_interrupt(int signal);

#endif
