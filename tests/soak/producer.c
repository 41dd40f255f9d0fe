/*
 * producer.c: the life of a producer.
 *
 * Invariant: `about` covers a number before any call that could publish it, and `done` after the
 * call has said so; so a kill leaves the numbers in (done, about] in doubt. A number that was
 * certainly not published is taken back from `about`.
 */
#include "role.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct producer {
    struct ledger *ledger;
    const struct role *role;
    struct producer_row *row;
    uint32_t idx;
    uint64_t random;
    jb_bus *bus;
    uint32_t topic_ids[SOAK_TOPICS];
    uint8_t *payload;
    uint32_t pace_every; /* a rest after so many events; 0: never */
};

static bool must_end(const struct producer *self)
{
    return atomic_load(&self->ledger->stop) || atomic_load(&self->row->wants_end);
}

static int intern_topics(struct producer *self)
{
    for (uint32_t t = 0; t < SOAK_TOPICS; t++) {
        const char *name = soak_topic_name(t);
        int rc = jb_bus_topic(self->bus, name, strlen(name), &self->topic_ids[t]);

        if (rc) {
            ledger_fail(self->ledger, "producer %u: jb_bus_topic(%s): %s", self->idx, name,
                        jb_err_name(rc));
            return 1;
        }
    }
    return 0;
}

/* Claims room, sometimes more than it needs and sometimes for a while, then commits or gives back.
 * Returns what jb_bus_publish() would, or 1 when it gave the claim back. */
static int publish_claimed(struct producer *self, const jb_event_head *head,
                           const struct soak_event *event)
{
    uint32_t len_bytes = event->len_bytes;
    uint32_t room = len_bytes + (uint32_t)soak_below(&self->random, 200);
    bool is_given_back = soak_below(&self->random, 8) == 0;
    jb_claim claim;
    int rc;

    if (room > self->ledger->recipe.max_bytes)
        room = len_bytes;
    rc = jb_bus_claim(self->bus, head, room, &claim);
    if (rc)
        return rc;
    if (soak_below(&self->random, 256) == 0)
        actor_nap_us(soak_below(&self->random, 500));
    recipe_fill(event, claim.payload);
    if (is_given_back) {
        rc = jb_bus_abort(self->bus, &claim);
        atomic_fetch_add(&self->row->n_given, 1);
        return rc ? rc : 1;
    }
    return jb_bus_commit(self->bus, &claim, len_bytes);
}

/* Waits, in one of several ways, after a JB_EAGAIN. */
static int wait_for_room(struct producer *self, uint32_t len_bytes)
{
    int rc = 0;

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

/* 0 published, 1 asked to end before it could be, or a JB_E code. */
static int publish_one(struct producer *self, const struct soak_event *event)
{
    jb_event_head head;

    recipe_head(event, self->topic_ids[event->topic], &head);
    if (!self->role->claims)
        recipe_fill(event, self->payload);
    for (;;) {
        int rc = self->role->claims
                     ? publish_claimed(self, &head, event)
                     : jb_bus_publish(self->bus, &head, self->payload, event->len_bytes);

        if (rc == JB_EAGAIN) {
            if (must_end(self))
                return 1;
            rc = wait_for_room(self, event->len_bytes);
            if (rc)
                return rc;
            continue;
        }
        if (rc != 1)
            return rc;
    }
}

static int run(struct producer *self)
{
    uint64_t number = atomic_load(&self->row->done);

    while (!must_end(self)) {
        struct soak_event event;
        int rc;

        recipe_event(&self->ledger->recipe, self->idx, ++number, &event);
        atomic_store(&self->row->about, number);
        rc = publish_one(self, &event);
        if (rc == 1) {
            atomic_store(&self->row->about, number - 1);
            break;
        }
        if (rc) {
            ledger_fail(self->ledger, "producer %u: event %lu of %u bytes: %s", self->idx,
                        (unsigned long)number, event.len_bytes, jb_err_name(rc));
            return 1;
        }
        atomic_store(&self->row->done, number);
        if (self->pace_every && number % self->pace_every == 0)
            actor_nap_us(soak_below(&self->random, self->role->nap_us));
    }
    return 0;
}

int producer_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    static const uint32_t paces[] = {0, 0, 0, 1, 10, 100, 1000, 10000};
    struct producer self = {.ledger = ledger, .role = role, .row = &ledger->producers[row]};
    int rc;

    self.idx = row;
    self.random = seed;
    self.pace_every = paces[soak_below(&self.random, sizeof paces / sizeof paces[0])];
    self.payload = malloc(ledger->recipe.max_bytes);
    self.bus = self.payload ? actor_open_bus(ledger, role) : NULL;
    if (!self.bus) {
        free(self.payload);
        return 1;
    }
    actor_wait_go(ledger);
    rc = intern_topics(&self);
    if (!rc)
        rc = run(&self);
    jb_bus_close(self.bus);
    free(self.payload);
    return rc;
}

int closer_live(struct ledger *ledger)
{
    static const struct role role = {.name = "closer", .n_actors = 1};
    struct producer self = {.ledger = ledger, .role = &role};
    uint8_t payload[8];
    int rc;

    self.idx = SOAK_CLOSER;
    self.row = &ledger->producers[SOAK_CLOSER];
    self.random = ledger->recipe.seed;
    self.payload = payload;
    self.bus = actor_open_bus(ledger, &role);
    if (!self.bus)
        return 1;
    rc = intern_topics(&self);
    for (uint64_t number = 1; number <= SOAK_TOPICS && !rc; number++) {
        struct soak_event event;

        recipe_event(&ledger->recipe, SOAK_CLOSER, number, &event);
        atomic_store(&self.row->about, number);
        /* `stop` is set: on JB_EAGAIN it would give up, so ask again. */
        do {
            rc = publish_one(&self, &event);
            if (rc == 1)
                actor_nap_us(200);
        } while (rc == 1 && !atomic_load(&ledger->failed));
        if (!rc)
            atomic_store(&self.row->done, number);
    }
    if (rc)
        ledger_fail(ledger, "closer: %s", jb_err_name(rc));
    jb_bus_close(self.bus);
    return rc != 0;
}
