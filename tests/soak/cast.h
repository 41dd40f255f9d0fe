/*
 * cast.h: the processes of a round: started, ended, stopped, started again.
 *
 * Invariant: when an actor is seen to be gone, what it left is in the books at once: a reader's
 * account, a producer's numbers in doubt; and only then can it be started again.
 */
#ifndef SOAK_CAST_H
#define SOAK_CAST_H

#include "books.h"
#include "crew.h"

#include <sys/types.h>

enum { CAST_MAX = SOAK_READERS + SOAK_PRODUCERS };

enum actor_state { ACTOR_GONE, ACTOR_RUNS, ACTOR_STOPPED };

struct actor {
    const struct role *role; /* NULL: the closer */
    uint32_t row;
    uint32_t n_lives;
    pid_t pid;
    enum actor_state state;
    bool is_killed;
    uint64_t wake_ns; /* when it is started, or goes on */
};

struct cast {
    struct ledger *ledger;
    struct books *books;
    uint64_t random;
    struct actor actors[CAST_MAX];
    uint32_t n_actors;
    bool is_ending;  /* nobody is started again, but workers */
    bool is_holding; /* nor now, as long as there are producers: the living must help themselves */
    uint64_t n_starts;
    uint64_t n_own_deaths; /* who killed themselves with an open claim or unacknowledged events */
};

/* Everyone of the table of roles, nobody started yet. */
void cast_init(struct cast *cast, struct ledger *ledger, struct books *books, uint64_t random);

/* "producer", "latest, all" ... */
const char *actor_name(const struct actor *actor);

/* The closer, started. */
void cast_closer(struct cast *cast);

void actor_kill(struct cast *cast, struct actor *actor);

/* Stop it for so long, unless it is stopped or killed already. */
bool actor_stop(struct actor *actor, uint64_t until_ns);

/* Ask it to close what it has and leave. */
void actor_end(struct cast *cast, const struct actor *actor);

/* Enter the dead into the books; start whoever has been gone, and let go on whoever has been
 * stopped, for long enough. */
void cast_tick(struct cast *cast);

uint32_t cast_count(const struct cast *cast, enum actor_state state);

/* Kill and bury them all. */
void cast_break_off(struct cast *cast);

#endif
