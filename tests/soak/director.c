/*
 * director.c: see director.h.
 *
 * It kills, stops and asks to leave; and while a kill has not been recovered from it does nothing
 * else, so that a hang has one cause.
 */
#include "director.h"

#include "cast.h"
#include "report.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define MS      UINT64_C(1000000)
#define HANG_NS (60000 * MS) /* times `slow` */
#define HALT_NS (1000 * MS)

struct director {
    struct soak *soak;
    struct ledger *ledger;
    struct cast cast;
    uint64_t random;
    bool is_timed; /* the recovery awaited is disturbed by nobody's being stopped */
    uint64_t ticked_ns;
    uint64_t n_kills;
    uint64_t next_deed_ns;
    uint64_t next_look_ns;
    uint64_t last_turn; /* the auditor's, when it was seen to go on */
    uint64_t alive_ns;
};

static volatile sig_atomic_t is_interrupted;

void director_interrupt(int signal)
{
    is_interrupted = signal;
}

static uint64_t in_ms(struct director *self, uint64_t most_ms)
{
    return jb_clock_now_ns() + soak_below(&self->random, most_ms * MS);
}

/* Somebody who may die: not the auditor, who knows the order. */
static struct actor *victim(struct director *self)
{
    for (int i = 0; i < 32; i++) {
        struct actor *actor = &self->cast.actors[soak_below(&self->random, self->cast.n_actors)];

        if (actor->state != ACTOR_GONE && !actor->is_killed && !actor->role->is_auditor)
            return actor;
    }
    return NULL;
}

static void kill_one(struct director *self, struct actor *actor)
{
    actor_kill(&self->cast, actor);
    self->n_kills++;
    self->soak->deeds.n_kills++;
}

/* All of its workers: then it holds nobody back, and may lose what they had. */
static void kill_group(struct director *self)
{
    for (uint32_t i = 0; i < self->cast.n_actors; i++) {
        struct actor *actor = &self->cast.actors[i];

        if (actor->role && actor->role->is_worker && actor->state != ACTOR_GONE &&
            !actor->is_killed)
            kill_one(self, actor);
    }
}

static void kill_some(struct director *self)
{
    struct recovery *recovery = &self->ledger->recovery;
    uint64_t n = 1 + (soak_below(&self->random, 4) == 0 ? soak_below(&self->random, 4) : 0);
    bool is_group = soak_below(&self->random, 24) == 0;
    struct actor *actor;

    if (is_group)
        kill_group(self);
    for (; n && (actor = victim(self)) != NULL; n--)
        kill_one(self, actor);
    self->soak->deeds.n_kill_rounds++;
    self->cast.is_holding = is_group || soak_below(&self->random, 2) == 0;
    self->is_timed = cast_count(&self->cast, ACTOR_STOPPED) == 0;
    atomic_store(&recovery->first_ns, 0);
    atomic_store(&recovery->lap_ns, 0);
    atomic_store(&recovery->kill_bytes, atomic_load(&self->ledger->auditor_bytes));
    atomic_store(&recovery->kill_ns, jb_clock_now_ns());
}

static void stop_one(struct director *self)
{
    static const uint64_t longest_ms[] = {20, 20, 20, 20, 20, 20, 300, 1500};
    struct actor *actor = &self->cast.actors[soak_below(&self->random, self->cast.n_actors)];

    uint64_t until_ns = in_ms(self, longest_ms[soak_below(&self->random, 8)]);

    if (cast_count(&self->cast, ACTOR_STOPPED) < 3 && actor_stop(actor, until_ns))
        self->soak->deeds.n_stops++;
}

static void end_one(struct director *self)
{
    struct actor *actor = victim(self);

    if (!actor)
        return;
    actor_end(&self->cast, actor);
    self->soak->deeds.n_ends++;
}

/* Nobody is still held up by the dead? */
static void watch_recovery(struct director *self)
{
    struct recovery *recovery = &self->ledger->recovery;
    struct deeds *deeds = &self->soak->deeds;
    uint64_t kill_ns = atomic_load(&recovery->kill_ns), lap_ns = atomic_load(&recovery->lap_ns);

    if (!kill_ns)
        return;
    if (!lap_ns && jb_clock_now_ns() - kill_ns > HANG_NS * self->ledger->slow) {
        ledger_fail(self->ledger, "after a kill the others have not gone on: next event %s",
                    atomic_load(&recovery->first_ns) ? "read, two rings not" : "not read");
        return;
    }
    if (!lap_ns)
        return;
    deeds->n_recovered++;
    if (self->is_timed && deeds->n_timed < DIRECTOR_TIMES) {
        deeds->first_us[deeds->n_timed] = (uint32_t)(atomic_load(&recovery->first_ns) / 1000);
        deeds->lap_us[deeds->n_timed++] = (uint32_t)(lap_ns / 1000);
    }
    self->cast.is_holding = false;
    atomic_store(&recovery->kill_ns, 0);
}

static void deed(struct director *self)
{
    uint64_t dice = soak_below(&self->random, 20);

    if (atomic_load(&self->ledger->recovery.kill_ns) || jb_clock_now_ns() < self->next_deed_ns ||
        self->soak->books.n_pending > BOOKS_PENDING / 2)
        return;
    if (dice < 11)
        kill_some(self);
    else if (dice < 17)
        stop_one(self);
    else
        end_one(self);
    self->next_deed_ns = in_ms(self, 30);
}

/* Everything that was read so far must balance, and something must have been read. */
static void look(struct director *self)
{
    struct ledger *ledger = self->ledger;
    uint64_t now = jb_clock_now_ns(), turn = atomic_load(&ledger->readers[0].turn);

    if (turn != self->last_turn) {
        self->last_turn = turn;
        self->alive_ns = now;
    } else if (now - self->alive_ns > HANG_NS * ledger->slow) {
        ledger_fail(ledger, "nothing has been read for %lu s",
                    (unsigned long)((now - self->alive_ns) / 1000000000));
    }
    (void)books_settle(&self->soak->books, ledger);
    if (now < self->next_look_ns)
        return;
    self->next_look_ns = now + 1000 * MS;
    report_progress(self->soak, ledger);
    for (uint32_t i = 0; i < self->cast.n_actors; i++)
        if (self->cast.actors[i].state != ACTOR_GONE && self->cast.actors[i].role &&
            self->cast.actors[i].role->is_reader && !self->cast.actors[i].role->is_brief)
            (void)books_take(&self->soak->books, ledger, self->cast.actors[i].role,
                             self->cast.actors[i].row, false);
}

static bool must_break_off(const struct director *self)
{
    return is_interrupted || atomic_load(&self->ledger->failed);
}

/* We ask for a turn every half a millisecond. If we get none, the machine stands still or has other
 * things to do, and how long others take tells nothing of the bus. */
static void note_halt(struct director *self)
{
    struct deeds *deeds = &self->soak->deeds;
    uint64_t now = jb_clock_now_ns(), span_ns = self->ticked_ns ? now - self->ticked_ns : 0;

    self->ticked_ns = now;
    if (span_ns < HALT_NS)
        return;
    deeds->n_halts++;
    if (span_ns > deeds->longest_halt_ns)
        deeds->longest_halt_ns = span_ns;
    self->is_timed = false;
}

static void tick(struct director *self)
{
    note_halt(self);
    cast_tick(&self->cast);
    look(self);
    actor_nap_us(500);
}

enum await { AWAIT_AUDITOR, AWAIT_PRODUCERS, AWAIT_READY, AWAIT_CLOSER, AWAIT_ANSWER, AWAIT_ALL };

static bool blocks(const struct director *self, const struct actor *actor, enum await what)
{
    bool is_reader = actor->role && actor->role->is_reader;
    bool is_coming = actor->state != ACTOR_GONE || (is_reader && actor->role->is_worker);
    uint32_t phase = is_reader ? atomic_load(&self->ledger->readers[actor->row].phase) : 0;

    switch (what) {
    case AWAIT_AUDITOR:
        return is_reader && actor->role->is_auditor && phase == READER_STARTING;
    case AWAIT_PRODUCERS:
        return !is_reader && actor->state != ACTOR_GONE;
    case AWAIT_READY:
        return is_reader && is_coming && phase == READER_STARTING;
    case AWAIT_ANSWER:
        return is_reader && is_coming &&
               atomic_load(&self->ledger->readers[actor->row].calls) !=
                   atomic_load(&self->ledger->calls);
    case AWAIT_CLOSER:
        return !actor->role && actor->state != ACTOR_GONE;
    case AWAIT_ALL:
        break;
    }
    return actor->state != ACTOR_GONE;
}

/* Until nobody blocks it any more. Who does for too long, hangs. */
static void await(struct director *self, enum await what)
{
    uint64_t until = jb_clock_now_ns() + HANG_NS * self->ledger->slow;
    uint32_t i = 0;

    while (i < self->cast.n_actors && !must_break_off(self)) {
        if (!blocks(self, &self->cast.actors[i], what)) {
            i++;
        } else if (jb_clock_now_ns() > until) {
            ledger_fail(self->ledger, "a %s in place %u hangs at the %s",
                        actor_name(&self->cast.actors[i]), self->cast.actors[i].row,
                        what == AWAIT_AUDITOR ? "beginning" : "end");
        } else {
            tick(self);
            self->alive_ns = jb_clock_now_ns();
        }
    }
}

/* The producers leave, the closer says the last word, the readers read up to it. */
static void finish(struct director *self)
{
    uint64_t last;
    uint32_t n_calls;

    self->cast.is_ending = true;
    atomic_store(&self->ledger->recovery.kill_ns, 0);
    atomic_store(&self->ledger->stop, 1);
    await(self, AWAIT_PRODUCERS);
    await(self, AWAIT_READY);
    if (!must_break_off(self)) {
        cast_closer(&self->cast);
        await(self, AWAIT_CLOSER);
    }
    /* The bus may still have something to say about the dead, each time somebody looks. */
    do {
        last = atomic_load(&self->ledger->readers[0].turn);
        n_calls = atomic_fetch_add(&self->ledger->calls, 1);
        await(self, AWAIT_ANSWER);
    } while (!must_break_off(self) &&
             (n_calls == 0 || last != atomic_load(&self->ledger->readers[0].turn)));
    atomic_store(&self->ledger->final, 1);
    await(self, AWAIT_ALL);
}

static void check_nothing_left(struct director *self)
{
    DIR *folder = opendir(self->soak->folder);
    const struct dirent *entry;

    while (folder && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            ledger_fail(self->ledger, "everybody has closed the bus, and there is still %s/%s",
                        self->soak->folder, entry->d_name);
    if (folder)
        closedir(folder);
}

static int round_end(struct director *self)
{
    struct ledger *ledger = self->ledger;

    if (!must_break_off(self)) {
        (void)books_close(&self->soak->books, ledger, self->n_kills + self->cast.n_own_deaths);
        check_nothing_left(self);
    }
    cast_break_off(&self->cast);
    self->soak->deeds.n_starts += self->cast.n_starts;
    self->soak->deeds.n_own_deaths += self->cast.n_own_deaths;
    for (uint32_t p = 0; p < SOAK_PRODUCERS; p++) {
        self->soak->books.n_full += atomic_load(&ledger->producers[p].n_full);
        self->soak->books.n_revoked += atomic_load(&ledger->producers[p].n_revoked);
    }
    if (atomic_load(&ledger->failed)) {
        report_failure(self->soak, ledger);
        return 1;
    }
    if (!is_interrupted)
        return 0;
    printf("soak: interrupted in round %u, seed %lu\n", self->soak->round,
           (unsigned long)self->soak->options.seed);
    jb_bus_unlink(ledger->bus_name, NULL);
    rmdir(self->soak->folder);
    return 130;
}

int director_round(struct soak *soak, uint64_t seconds, uint64_t capacity_bytes)
{
    struct director self = {.soak = soak, .alive_ns = jb_clock_now_ns()};
    uint64_t until;
    int rc;

    self.ledger = ledger_create((seconds + 1) * 2000000);
    if (!self.ledger) {
        fprintf(stderr, "soak: no memory for the ledger\n");
        return 1;
    }
    self.random = soak_mix(soak->options.seed ^ soak->round);
    self.ledger->recipe.seed = soak_random(&self.random);
    self.ledger->recipe.max_bytes = (uint32_t)(capacity_bytes / 4 - SOAK_RECORD_BYTES);
    self.ledger->capacity_bytes = capacity_bytes;
    self.ledger->slow = soak->options.slow;
    /* In every other round nobody may stand still with a claim. */
    self.ledger->stall_after_ns = soak->round % 2 ? 0 : 10 * MS;
    snprintf(self.ledger->bus_name, sizeof self.ledger->bus_name, "soak-%u", soak->round);
    fflush(stdout);
    cast_init(&self.cast, self.ledger, &soak->books, soak_random(&self.random));
    await(&self, AWAIT_AUDITOR);
    atomic_store(&self.ledger->go, 1);
    until = jb_clock_now_ns() + seconds * 1000000000;
    while (jb_clock_now_ns() < until && !atomic_load(&self.ledger->stop) &&
           !must_break_off(&self)) {
        tick(&self);
        watch_recovery(&self);
        deed(&self);
    }
    /* The last kill must be recovered from as well. */
    while (atomic_load(&self.ledger->recovery.kill_ns) && !atomic_load(&self.ledger->stop) &&
           !must_break_off(&self)) {
        tick(&self);
        watch_recovery(&self);
    }
    finish(&self);
    rc = round_end(&self);
    ledger_destroy(self.ledger);
    return rc;
}
