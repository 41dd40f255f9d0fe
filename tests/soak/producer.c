/*
 * producer.c: the life of a producer.
 *
 * Invariant: `about` covers a number before any call that could publish it, and `done` after the
 * call has said so; so a kill leaves the numbers in (done, about] in doubt. Numbers that were
 * certainly not published are taken back from `about`.
 */
#include "role.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { LOAD_MAX = 1024 };

/* What is published by one call: one event, or a batch. */
struct load {
    uint32_t n_events;
    uint32_t n_bytes; /* of payload, each rounded up to 8 */
    struct soak_event events[LOAD_MAX];
    jb_event_head heads[LOAD_MAX];
    uint32_t lens_bytes[LOAD_MAX];
    const void *payloads[LOAD_MAX];
    uint8_t *slots[LOAD_MAX];
};

struct producer {
    struct ledger *ledger;
    const struct role *role;
    struct producer_row *row;
    uint32_t idx;
    uint64_t random;
    jb_bus *bus;
    uint32_t topic_ids[SOAK_TOPICS];
    uint8_t *buffer; /* a quarter of the ring */
    struct load load;
    uint32_t pace_every; /* a rest after so many events; 0: never */
};

/* 0 published, GAVE_BACK after all, WAS_REVOKED, MUST_END before it could be, or a JB_E code. */
enum outcome { GAVE_BACK = 1, WAS_REVOKED, MUST_END };

static bool must_end(const struct producer *self)
{
    return atomic_load(&self->ledger->stop) || atomic_load(&self->row->wants_end);
}

static int intern_topics(struct producer *self)
{
    for (uint32_t t = 0; t < SOAK_TOPICS; t++) {
        const char *name = soak_topic_name(self->idx, t);
        int rc = jb_bus_topic(self->bus, name, strlen(name), &self->topic_ids[t]);

        if (rc) {
            ledger_fail(self->ledger, "producer %u: jb_bus_topic(%s): %s", self->idx, name,
                        jb_err_name(rc));
            return 1;
        }
    }
    return 0;
}

/* The events from `number` on: as many as wanted and as fit into a record. */
static void load_make(struct producer *self, uint64_t number, uint32_t n_wanted)
{
    uint32_t room = self->ledger->recipe.max_bytes + SOAK_RECORD_BYTES;
    struct load *load = &self->load;

    load->n_events = 0;
    load->n_bytes = 0;
    for (uint32_t i = 0; i < n_wanted; i++) {
        struct soak_event *event = &load->events[i];
        uint32_t len_bytes;

        recipe_event(&self->ledger->recipe, self->idx, number + i, event);
        len_bytes = (event->len_bytes + 7u) & ~7u;
        if (i && len_bytes + SOAK_RECORD_BYTES > room)
            break;
        event->place = i;
        recipe_head(event, self->topic_ids[event->topic], &load->heads[i]);
        load->lens_bytes[i] = event->len_bytes;
        load->slots[i] = self->buffer + load->n_bytes;
        load->payloads[i] = load->slots[i];
        load->n_events++;
        load->n_bytes += len_bytes;
        room -= i ? len_bytes + SOAK_RECORD_BYTES : event->len_bytes + SOAK_RECORD_BYTES;
        room &= ~7u;
    }
}

static int publish_copy(struct producer *self)
{
    const struct load *load = &self->load;
    int rc;

    for (uint32_t i = 0; i < load->n_events; i++)
        recipe_fill(&load->events[i], load->slots[i]);
    if (self->role->batches)
        return jb_bus_publish_batch(self->bus, load->heads, load->payloads, load->lens_bytes,
                                    load->n_events);
    if (soak_below(&self->random, 4))
        return jb_bus_publish(self->bus, &load->heads[0], load->payloads[0], load->lens_bytes[0]);
    rc = jb_bus_publish_wait(self->bus, &load->heads[0], load->payloads[0], load->lens_bytes[0],
                             soak_below(&self->random, 10000000));
    return rc == JB_ETIMEDOUT ? JB_EAGAIN : rc;
}

/* A claim stands for a while now and then, where death and SIGSTOP may find it; where the bus takes
 * such claims away, for longer than it allows; and it may be its owner's last deed. */
static void linger(struct producer *self)
{
    if (soak_below(&self->random, 128) == 0)
        actor_nap_us(soak_below(&self->random, 500));
    if (self->ledger->stall_after_ns && soak_below(&self->random, 4096) == 0)
        actor_nap_us(2 * self->ledger->stall_after_ns / 1000 + soak_below(&self->random, 10000));
    if (soak_below(&self->random, 4096) == 0) {
        atomic_store(&self->row->is_dying, 1);
        raise(SIGKILL);
    }
}

static int finish_claim(struct producer *self, int rc, int when_done)
{
    if (when_done == GAVE_BACK)
        atomic_fetch_add(&self->row->n_given, 1);
    return rc ? rc : when_done;
}

/* Claims, sometimes more than it needs, and commits or gives back. */
static int publish_claimed(struct producer *self)
{
    const struct soak_event *event = &self->load.events[0];
    uint32_t room = event->len_bytes + (uint32_t)soak_below(&self->random, 200);
    jb_claim claim;
    int rc;

    if (room > self->ledger->recipe.max_bytes)
        room = event->len_bytes;
    rc = jb_bus_claim(self->bus, &self->load.heads[0], room, &claim);
    if (rc)
        return rc;
    linger(self);
    recipe_fill(event, claim.payload);
    if (soak_below(&self->random, 8) == 0)
        return finish_claim(self, jb_bus_abort(self->bus, &claim), GAVE_BACK);
    return finish_claim(self, jb_bus_commit(self->bus, &claim, event->len_bytes), 0);
}

static int publish_claimed_batch(struct producer *self)
{
    struct load *load = &self->load;
    jb_batch batch;
    int rc = jb_bus_claim_batch(self->bus, load->heads, load->lens_bytes, load->n_events,
                                load->slots, &batch);

    if (rc)
        return rc;
    linger(self);
    for (uint32_t i = 0; i < load->n_events; i++)
        recipe_fill(&load->events[i], load->slots[i]);
    if (soak_below(&self->random, 8) == 0)
        return finish_claim(self, jb_bus_abort_batch(self->bus, &batch), GAVE_BACK);
    return finish_claim(self, jb_bus_commit_batch(self->bus, &batch), 0);
}

static int publish_once(struct producer *self)
{
    int rc;

    if (!self->role->claims)
        rc = publish_copy(self);
    else
        rc = self->role->batches ? publish_claimed_batch(self) : publish_claimed(self);
    if (rc != JB_ESTATE || !self->ledger->stall_after_ns)
        return rc;
    /* We were stopped, or not given a core, with a claim open. */
    atomic_fetch_add(&self->row->n_revoked, 1);
    return WAS_REVOKED;
}

/* Waits, in one of several ways, after a JB_EAGAIN. */
static int wait_for_room(struct producer *self)
{
    uint32_t len_bytes = self->load.n_bytes + (self->load.n_events - 1) * SOAK_RECORD_BYTES;
    int rc = 0;

    if (len_bytes > self->ledger->recipe.max_bytes)
        len_bytes = self->ledger->recipe.max_bytes;
    atomic_fetch_add_explicit(&self->row->n_full, 1, memory_order_relaxed);
    switch (soak_below(&self->random, 4)) {
    case 0:
        sched_yield();
        break;
    case 1:
        actor_nap_us(soak_below(&self->random, 300));
        break;
    default:
        rc = jb_bus_wait_space(self->bus, len_bytes, soak_below(&self->random, 20000000));
        break;
    }
    return rc == JB_ETIMEDOUT ? 0 : rc;
}

/* 0 published, MUST_END, or a JB_E code. */
static int publish(struct producer *self)
{
    for (;;) {
        int rc = publish_once(self);

        if (rc == 0 || (rc < 0 && rc != JB_EAGAIN))
            return rc;
        if (rc != JB_EAGAIN)
            continue;
        if (must_end(self))
            return MUST_END;
        rc = wait_for_room(self);
        if (rc)
            return rc;
    }
}

static uint32_t load_size(struct producer *self)
{
    if (!self->role->batches)
        return 1;
    return 1 + (uint32_t)soak_below(&self->random, soak_below(&self->random, 16) ? 32 : LOAD_MAX);
}

static int run(struct producer *self)
{
    uint64_t done = atomic_load(&self->row->done);
    uint64_t rested = done;

    while (!must_end(self)) {
        int rc;

        load_make(self, done + 1, load_size(self));
        atomic_store(&self->row->about, done + self->load.n_events);
        rc = publish(self);
        if (rc == MUST_END) {
            atomic_store(&self->row->about, done);
            break;
        }
        if (rc) {
            ledger_fail(self->ledger, "producer %u: %u events of %u bytes from number %lu on: %s",
                        self->idx, self->load.n_events, self->load.n_bytes, (unsigned long)done + 1,
                        jb_err_name(rc));
            return 1;
        }
        done += self->load.n_events;
        atomic_store(&self->row->done, done);
        if (self->pace_every && done - rested >= self->pace_every) {
            rested = done;
            actor_nap_us(soak_below(&self->random, self->role->nap_us));
        }
    }
    return 0;
}

/* NULL after ledger_fail(), or when there is no memory. */
static struct producer *producer_begin(struct ledger *ledger, const struct role *role, uint32_t idx)
{
    struct producer *self = calloc(1, sizeof *self);

    if (!self)
        return NULL;
    self->ledger = ledger;
    self->role = role;
    self->row = &ledger->producers[idx];
    self->idx = idx;
    self->buffer = malloc(ledger->capacity_bytes / 4 + 8 * LOAD_MAX);
    self->bus = self->buffer ? actor_open_bus(ledger, role) : NULL;
    if (self->bus)
        return self;
    free(self->buffer);
    free(self);
    return NULL;
}

static void producer_end(struct producer *self)
{
    jb_bus_close(self->bus);
    free(self->buffer);
    free(self);
}

int producer_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    static const uint32_t paces[] = {0, 0, 0, 1, 10, 100, 1000, 10000};
    struct producer *self = producer_begin(ledger, role, row);
    int rc;

    if (!self)
        return 1;
    self->random = seed;
    self->pace_every = paces[soak_below(&self->random, sizeof paces / sizeof paces[0])];
    actor_wait_go(ledger);
    rc = intern_topics(self);
    if (!rc)
        rc = run(self);
    producer_end(self);
    return rc;
}

int closer_live(struct ledger *ledger)
{
    static const struct role role = {.name = "closer", .n_actors = 1};
    struct producer *self = producer_begin(ledger, &role, SOAK_CLOSER);
    int rc;

    if (!self)
        return 1;
    rc = intern_topics(self);
    for (uint64_t number = 1; number <= SOAK_TOPICS && !rc; number++) {
        load_make(self, number, 1);
        atomic_store(&self->row->about, number);
        /* `stop` is set: on JB_EAGAIN it would give up, so ask again. */
        do {
            rc = publish(self);
            if (rc == MUST_END)
                actor_nap_us(200);
        } while (rc == MUST_END && !atomic_load(&ledger->failed));
        if (!rc)
            atomic_store(&self->row->done, number);
    }
    if (rc)
        ledger_fail(ledger, "closer: %s", jb_err_name(rc));
    producer_end(self);
    return rc != 0;
}
