/*
 * talker.c: the lives of those who ask and of those who answer.
 *
 * Invariant: every request that was sent has one outcome, and the answer that comes with it is the
 * one to its question: a function of what was asked. What is published is counted before and after,
 * as producers do.
 */
#include "role.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED_MAX = 32, ANSWER_MAX = 64 };

static const char question_topic[] = "talk.ask.now";

struct asked {
    uint32_t id; /* 0: none */
    uint64_t question;
};

struct talker {
    struct ledger *ledger;
    const struct role *role;
    struct producer_row *row;
    uint32_t idx;
    uint64_t random;
    jb_bus *bus;
    uint32_t topic_id;
    jb_requester *requester;
    struct asked asked[ASKED_MAX];
    uint64_t n_sent, n_replied, n_timed_out, n_cancelled;
};

#define talker_fail(self, format, ...)                                                             \
    ledger_fail((self)->ledger, "%s %u: " format, (self)->role->name, (self)->idx, __VA_ARGS__)

static bool must_end(const struct talker *self)
{
    return atomic_load(&self->ledger->stop) || atomic_load(&self->row->wants_end);
}

static uint64_t answer_to(uint64_t question)
{
    return soak_mix(question ^ UINT64_C(0x5eed));
}

/* Write down whether the one begun was published. False after ledger_fail(). */
static bool settle(struct talker *self, uint64_t number, int rc)
{
    bool is_refused = rc == JB_EAGAIN || (rc == JB_ESTATE && self->ledger->stall_after_ns);

    if (rc == 0)
        atomic_store(&self->row->done, number);
    else
        atomic_store(&self->row->about, number - 1);
    if (rc && !is_refused)
        talker_fail(self, "number %lu: %s", (unsigned long)number, jb_err_name(rc));
    return rc == 0 || is_refused;
}

static struct asked *asked_find(struct talker *self, uint32_t id)
{
    for (uint32_t i = 0; i < ASKED_MAX; i++)
        if (self->asked[i].id == id)
            return &self->asked[i];
    return NULL;
}

static bool ask(struct talker *self)
{
    jb_event_head head = {.topic_id = self->topic_id, .type = JB_EVENT_LEARNING_DECISION_REQUEST};
    struct asked *free_one = asked_find(self, 0);
    uint64_t number = atomic_load(&self->row->done) + 1;
    uint64_t question = soak_random(&self->random);
    uint32_t id = 0;
    int rc;

    if (!free_one)
        return true;
    atomic_store(&self->row->about, number);
    rc = jb_request_send(self->requester, &head, &question, sizeof question,
                         1000 + soak_below(&self->random, 50000000), &id);
    if (rc == 0) {
        *free_one = (struct asked){id, question};
        self->n_sent++;
    }
    return settle(self, number, rc);
}

static bool take_outcome(struct talker *self, const jb_outcome *outcome)
{
    struct asked *asked = outcome->id ? asked_find(self, outcome->id) : NULL;
    uint64_t answer;

    if (!asked) {
        talker_fail(self, "an outcome of request %u, which is not open", outcome->id);
        return false;
    }
    if (outcome->kind == JB_OUTCOME_REPLY) {
        memcpy(&answer, outcome->reply.payload, outcome->reply.len_bytes == 8 ? 8 : 0);
        if (outcome->reply.len_bytes != 8 || answer != answer_to(asked->question)) {
            talker_fail(self, "request %u has an answer to another question", outcome->id);
            return false;
        }
        self->n_replied++;
    } else {
        self->n_timed_out++;
    }
    asked->id = 0;
    return true;
}

static bool listen(struct talker *self)
{
    jb_outcome outcomes[8];
    int n = jb_request_poll(self->requester, outcomes, 8);

    if (n < 0)
        talker_fail(self, "jb_request_poll: %s", jb_err_name(n));
    for (int i = 0; i < n; i++)
        if (!take_outcome(self, &outcomes[i]))
            return false;
    return n >= 0;
}

static bool cancel(struct talker *self, struct asked *asked)
{
    int rc = asked->id ? jb_request_cancel(self->requester, asked->id) : 0;

    if (rc)
        talker_fail(self, "request %u cannot be cancelled: %s", asked->id, jb_err_name(rc));
    self->n_cancelled += asked->id != 0;
    asked->id = 0;
    return rc == 0;
}

/* Every request has had one end, and the library counts them as we do. */
static bool asker_balance(struct talker *self)
{
    jb_requester_stats stats = {.size = sizeof stats};
    int rc;

    for (uint32_t i = 0; i < ASKED_MAX; i++)
        if (!cancel(self, &self->asked[i]))
            return false;
    rc = jb_requester_get_stats(self->requester, &stats);
    if (rc || stats.n_in_flight || stats.n_sent != self->n_sent ||
        stats.n_replied != self->n_replied || stats.n_timed_out != self->n_timed_out ||
        stats.n_cancelled != self->n_cancelled ||
        self->n_sent != self->n_replied + self->n_timed_out + self->n_cancelled) {
        talker_fail(self,
                    "sent %lu, answered %lu, timed out %lu, cancelled %lu; the library: %lu, "
                    "%lu, %lu, %lu, %u in flight",
                    (unsigned long)self->n_sent, (unsigned long)self->n_replied,
                    (unsigned long)self->n_timed_out, (unsigned long)self->n_cancelled,
                    (unsigned long)stats.n_sent, (unsigned long)stats.n_replied,
                    (unsigned long)stats.n_timed_out, (unsigned long)stats.n_cancelled,
                    stats.n_in_flight);
        return false;
    }
    atomic_fetch_add(&self->ledger->n_replied, stats.n_replied);
    atomic_fetch_add(&self->ledger->n_timed_out, stats.n_timed_out);
    atomic_fetch_add(&self->ledger->n_late, stats.n_late + stats.n_duplicate);
    return true;
}

static bool asker_run(struct talker *self)
{
    while (!must_end(self)) {
        for (uint64_t n = soak_below(&self->random, 4); n; n--)
            if (!ask(self))
                return false;
        if (soak_below(&self->random, 2))
            (void)jb_request_wait(self->requester, soak_below(&self->random, 2000000));
        else
            actor_nap_us(soak_below(&self->random, 2000));
        if (!listen(self))
            return false;
        if (soak_below(&self->random, 64) == 0 &&
            !cancel(self, &self->asked[soak_below(&self->random, ASKED_MAX)]))
            return false;
    }
    return asker_balance(self);
}

static bool talker_begin(struct talker *self, uint32_t talks)
{
    int rc;

    atomic_store(&self->row->talks, talks);
    self->bus = actor_open_bus(self->ledger, self->role);
    if (!self->bus)
        return false;
    actor_wait_go(self->ledger);
    rc = jb_bus_topic(self->bus, question_topic, sizeof question_topic - 1, &self->topic_id);
    if (rc)
        talker_fail(self, "jb_bus_topic: %s", jb_err_name(rc));
    return rc == 0;
}

int asker_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    struct talker self = {.ledger = ledger, .role = role, .row = &ledger->producers[row]};
    jb_requester_opts opts;
    jb_error err;
    bool is_well;

    self.idx = row;
    self.random = seed;
    jb_requester_opts_init(&opts, sizeof opts);
    jb_error_init(&err);
    opts.max_in_flight = ASKED_MAX;
    opts.policy = soak_below(&self.random, 2) ? JB_SUB_LATEST : JB_SUB_LOSSLESS;
    is_well = talker_begin(&self, TALK_ASKS);
    if (is_well) {
        int rc = jb_requester_open(self.bus, &opts, &self.requester, &err);

        is_well = rc == 0 && asker_run(&self);
        if (rc)
            talker_fail(&self, "jb_requester_open: %s: %s", jb_err_name(rc), err.msg);
    }
    jb_requester_close(self.requester);
    jb_bus_close(self.bus);
    return !is_well;
}

/* Mostly one answer; now and then none, or another one. */
static bool answer(struct talker *self, const jb_event *event)
{
    jb_event_head head = {.type = JB_EVENT_LEARNING_DECISION_RESPONSE};
    uint64_t question, text;

    if (event->flags != JB_EVENT_IS_REQUEST || event->len_bytes != sizeof question) {
        talker_fail(self, "event %lu is no question", (unsigned long)event->sequence);
        return false;
    }
    memcpy(&question, event->payload, sizeof question);
    text = answer_to(question);
    for (uint64_t n = (0x21111110u >> 4 * soak_below(&self->random, 8)) & 3; n; n--) {
        uint64_t number = atomic_load(&self->row->done) + 1;

        atomic_store(&self->row->about, number);
        if (!settle(self, number, jb_reply(self->bus, event, &head, &text, sizeof text)))
            return false;
    }
    return true;
}

static bool answerer_run(struct talker *self, jb_sub *sub)
{
    jb_event events[ANSWER_MAX];

    while (!must_end(self)) {
        int rc = jb_sub_wait(sub, 5000000), n = rc > 0 ? jb_sub_peek(sub, events, ANSWER_MAX) : rc;

        for (int i = 0; i < n; i++)
            if (!answer(self, &events[i]))
                return false;
        if (n > 0)
            n = jb_sub_advance(sub);
        if (n < 0) {
            talker_fail(self, "the way to the questions: %s", jb_err_name(n));
            return false;
        }
        if (soak_below(&self->random, 16) == 0)
            actor_nap_us(soak_below(&self->random, 2000));
    }
    return true;
}

int answerer_live(struct ledger *ledger, const struct role *role, uint32_t row, uint64_t seed)
{
    struct talker self = {.ledger = ledger, .role = role, .row = &ledger->producers[row]};
    jb_sub *sub = NULL;
    bool is_well;

    self.idx = row;
    self.random = seed;
    is_well = talker_begin(&self, TALK_ANSWERS);
    if (is_well) {
        int rc =
            jb_bus_subscribe(self.bus, question_topic, sizeof question_topic - 1, NULL, &sub, NULL);

        is_well = rc == 0 && answerer_run(&self, sub);
        if (rc)
            talker_fail(&self, "subscribe: %s", jb_err_name(rc));
    }
    jb_sub_close(sub);
    jb_bus_close(self.bus);
    return !is_well;
}
