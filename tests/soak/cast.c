/*
 * cast.c: see cast.h. Everybody is a child of this process, which has no handle on the bus itself.
 */
#include "cast.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define GONE_NS UINT64_C(50000000)

const char *actor_name(const struct actor *actor)
{
    return actor->role ? actor->role->name : "closer";
}

void cast_init(struct cast *cast, struct ledger *ledger, struct books *books, uint64_t random)
{
    uint32_t n_readers = 0, n_producers = 0;

    *cast = (struct cast){.ledger = ledger, .books = books, .random = random};
    for (uint32_t i = 0; i < soak_n_roles; i++)
        for (uint32_t k = 0; k < soak_roles[i].n_actors; k++) {
            struct actor *actor = &cast->actors[cast->n_actors++];

            actor->role = &soak_roles[i];
            actor->row = soak_roles[i].is_reader ? n_readers++ : n_producers++;
        }
}

static void actor_start(struct cast *cast, struct actor *actor)
{
    struct ledger *ledger = cast->ledger;
    uint64_t seed =
        soak_mix(ledger->recipe.seed ^ (uint64_t)(actor - cast->actors) << 40 ^ actor->n_lives++);
    pid_t parent = getpid();

    actor->is_killed = false;
    if (actor->role && actor->role->is_reader) {
        memset(&ledger->readers[actor->row], 0, sizeof ledger->readers[actor->row]);
        crew_start(ledger, actor->row, actor->n_lives);
    } else {
        atomic_store(&ledger->producers[actor->row].wants_end, 0);
        atomic_store(&ledger->producers[actor->row].is_dying, 0);
    }
    actor->pid = fork();
    if (actor->pid == 0) {
        signal(SIGINT, SIG_IGN); /* the director sees to it */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        _exit(actor->role ? actor->role->live(ledger, actor->role, actor->row, seed)
                          : closer_live(ledger));
    }
    if (actor->pid < 0) {
        ledger_fail(ledger, "fork: %s", strerror(errno));
        return;
    }
    actor->state = ACTOR_RUNS;
    cast->n_starts++;
}

void cast_closer(struct cast *cast)
{
    struct actor *closer = &cast->actors[cast->n_actors++];

    closer->row = SOAK_CLOSER;
    actor_start(cast, closer);
}

void actor_kill(struct cast *cast, struct actor *actor)
{
    if (actor->role && actor->role->is_worker)
        crew_doom(cast->ledger, actor->row);
    actor->is_killed = true;
    kill(actor->pid, SIGKILL);
    actor->state = ACTOR_RUNS; /* death needs no SIGCONT */
}

bool actor_stop(struct actor *actor, uint64_t until_ns)
{
    if (actor->state != ACTOR_RUNS || actor->is_killed)
        return false;
    kill(actor->pid, SIGSTOP);
    actor->state = ACTOR_STOPPED;
    actor->wake_ns = until_ns;
    return true;
}

void actor_end(struct cast *cast, const struct actor *actor)
{
    atomic_store(actor->role->is_reader ? &cast->ledger->readers[actor->row].wants_end
                                        : &cast->ledger->producers[actor->row].wants_end,
                 1);
}

/* A producer has left numbers of which nobody knows: its successor goes on behind them. */
static void producer_gone(struct ledger *ledger, const struct actor *actor)
{
    struct producer_row *row = &ledger->producers[actor->row];
    uint64_t about = atomic_load(&row->about), done = atomic_load(&row->done);
    uint32_t n = atomic_load(&ledger->n_doubts[actor->row]);

    if (about == done)
        return;
    if (!actor->is_killed || n == SOAK_DOUBTS) {
        ledger_fail(ledger, "producer %u has ended between number %lu and %lu (doubt %u)",
                    actor->row, (unsigned long)done, (unsigned long)about, n);
        return;
    }
    ledger->doubts[actor->row][n] = (struct doubt){done + 1, about};
    atomic_store(&ledger->n_doubts[actor->row], n + 1);
    atomic_store(&row->done, about);
}

static void actor_gone(struct cast *cast, struct actor *actor, int status)
{
    bool is_reader = actor->role && actor->role->is_reader, is_well;

    if (atomic_load(is_reader ? &cast->ledger->readers[actor->row].is_dying
                              : &cast->ledger->producers[actor->row].is_dying)) {
        cast->n_own_deaths += !actor->is_killed;
        actor->is_killed = true;
    }
    is_well = WIFEXITED(status) ? WEXITSTATUS(status) == 0
                                : actor->is_killed && WTERMSIG(status) == SIGKILL;

    if (!is_well)
        ledger_fail(cast->ledger, "a %s in place %u ended with %s %d", actor_name(actor),
                    actor->row, WIFEXITED(status) ? "exit code" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    actor->state = ACTOR_GONE;
    /* At once, so that a successor has the places of the dead before anyone looks; or later, so
     * that somebody else must bury them. */
    actor->wake_ns = jb_clock_now_ns();
    if (soak_below(&cast->random, 3))
        actor->wake_ns += soak_below(&cast->random, GONE_NS);
    if (!actor->role)
        return;
    if (actor->role->is_reader) {
        (void)books_take(cast->books, cast->ledger, actor->role, actor->row, true);
    } else {
        producer_gone(cast->ledger, actor);
        cast->books->roles[actor->role - soak_roles].n_lives++;
    }
}

static bool may_start(const struct cast *cast, const struct actor *actor)
{
    uint32_t n_producers = 0;

    /* Somebody must finish the group's work. */
    if (cast->is_ending)
        return actor->role && actor->role->is_worker && !atomic_load(&cast->ledger->final);
    if (!cast->is_holding)
        return true;
    for (uint32_t i = 0; i < cast->n_actors; i++)
        n_producers += cast->actors[i].role->live == producer_live &&
                       cast->actors[i].state != ACTOR_GONE && !cast->actors[i].is_killed;
    return n_producers < 2;
}

void cast_tick(struct cast *cast)
{
    uint64_t now;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (uint32_t i = 0; i < cast->n_actors; i++)
            if (cast->actors[i].pid == pid && cast->actors[i].state != ACTOR_GONE)
                actor_gone(cast, &cast->actors[i], status);
    now = jb_clock_now_ns();
    for (uint32_t i = 0; i < cast->n_actors; i++) {
        struct actor *actor = &cast->actors[i];

        if (actor->state == ACTOR_STOPPED && (now >= actor->wake_ns || cast->is_ending)) {
            kill(actor->pid, SIGCONT);
            actor->state = ACTOR_RUNS;
        } else if (actor->state == ACTOR_GONE && now >= actor->wake_ns && may_start(cast, actor)) {
            actor_start(cast, actor);
        }
    }
}

uint32_t cast_count(const struct cast *cast, enum actor_state state)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < cast->n_actors; i++)
        n += cast->actors[i].state == state;
    return n;
}

void cast_break_off(struct cast *cast)
{
    for (uint32_t i = 0; i < cast->n_actors; i++)
        if (cast->actors[i].state != ACTOR_GONE) {
            kill(cast->actors[i].pid, SIGKILL);
            waitpid(cast->actors[i].pid, NULL, 0);
            cast->actors[i].state = ACTOR_GONE;
        }
}
