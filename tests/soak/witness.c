/*
 * witness.c: see witness.h.
 */
#include "witness.h"

#include <stdio.h>
#include <string.h>

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

/* Where the id leads: 1 + topic, and above SOAK_TOPICS the bus's notices. 0: nowhere. */
static uint32_t topic_lookup(struct witness *self, uint32_t topic_id)
{
    const char *name;

    if (jb_bus_topic_name(self->bus, topic_id, &name) < 0)
        return 0;
    for (uint32_t t = 0; t < SOAK_TOPICS; t++)
        if (strcmp(name, soak_topic_name(0, t)) == 0)
            return 1 + t;
    for (uint32_t t = 0; t < SOAK_ANSWER; t++)
        if (strcmp(name, soak_topic_name(SOAK_SYSTEM, t)) == 0)
            return 1 + SOAK_TOPICS + t;
    /* Each asker has a topic of its own. */
    if (strncmp(name, soak_topic_name(SOAK_SYSTEM, SOAK_ANSWER),
                strlen(soak_topic_name(SOAK_SYSTEM, SOAK_ANSWER))) == 0)
        return 1 + SOAK_TOPICS + SOAK_ANSWER;
    return 0;
}

static uint32_t topic_of_id(struct witness *self, uint32_t topic_id)
{
    if (topic_id == 0 || topic_id > WITNESS_TOPIC_IDS)
        return 0;
    if (!self->topics[topic_id])
        self->topics[topic_id] = topic_lookup(self, topic_id);
    return self->topics[topic_id];
}

/* A notice, a question or an answer: there is no recipe for it, but all must read the same. */
static bool identify_notice(const jb_event *event, uint32_t topic, struct soak_event *ret_is)
{
    uint64_t hash = soak_mix((uint64_t)event->key << 32 | event->len_bytes);

    *ret_is =
        (struct soak_event){.producer = SOAK_SYSTEM, .topic = topic, .priority = event->priority};
    for (uint32_t i = 0; i < event->len_bytes; i++)
        hash = soak_mix(hash ^ event->payload[i]);
    ret_is->number = hash;
    if (topic == SOAK_QUESTION || topic == SOAK_ANSWER)
        return event->len_bytes == 8 &&
               event->flags == (topic == SOAK_QUESTION ? JB_EVENT_IS_REQUEST : JB_EVENT_IS_REPLY);
    return event->type == JB_EVENT_CUSTOM && event->priority == JB_PRIORITY_HIGH;
}

/* The event must be what its producer's recipe says, to the last byte. */
static bool check_content(struct witness *self, const jb_event *event, struct soak_event *ret_is)
{
    uint32_t topic = topic_of_id(self, event->topic_id);
    unsigned long seq = ul(event->sequence);
    bool is_notice = topic > SOAK_TOPICS;
    int64_t at = -1;

    if (is_notice ? !identify_notice(event, topic - 1 - SOAK_TOPICS, ret_is)
                  : recipe_identify(&self->ledger->recipe, event, ret_is) == SOAK_PRODUCERS) {
        witness_fail(self, "event %lu: impossible header: type %u, number %g, publisher %u", seq,
                     event->type, event->source_time, event->publisher);
        return false;
    }
    if (!is_notice && (topic != ret_is->topic + 1 || event->len_bytes != ret_is->len_bytes ||
                       event->priority != ret_is->priority || event->key != ret_is->about)) {
        witness_fail(self,
                     "event %lu is number %lu of producer %u: topic %u, %u bytes, priority %u "
                     "instead of %u, %u, %u",
                     seq, ul(ret_is->number), ret_is->producer, topic - 1, event->len_bytes,
                     event->priority, ret_is->topic, ret_is->len_bytes, ret_is->priority);
        return false;
    }
    if (!is_notice)
        at = recipe_compare(ret_is, event->payload);
    if (at >= 0)
        witness_fail(self, "event %lu, number %lu of producer %u, %u bytes: byte %ld is wrong", seq,
                     ul(ret_is->number), ret_is->producer, ret_is->len_bytes, (long)at);
    else if (!role_wants(self->role, ret_is->producer, ret_is->topic))
        witness_fail(self, "event %lu on %s, which it did not ask for", seq,
                     soak_topic_name(ret_is->producer, ret_is->topic));
    else
        return true;
    return false;
}

/* Those who are not shown the high ones ahead have one order. */
static uint32_t lane_of(const struct witness *self, const struct soak_event *is)
{
    return self->role->is_high_first && is->priority == JB_PRIORITY_HIGH ? LANE_HIGH : LANE_REST;
}

/* A high one that lay before one of the rest was to be shown before it; nothing is missed. */
static bool check_ahead(struct witness *self, const jb_event *event, uint32_t lane,
                        const struct account *account)
{
    uint64_t rest = account->last_sequence[LANE_REST];

    if (event->n_missed)
        witness_fail(self, "event %lu: %lu were missed", ul(event->sequence), ul(event->n_missed));
    else if (lane == LANE_HIGH && event->sequence < rest)
        witness_fail(self, "event %lu is of high priority and comes after event %lu, which is not",
                     ul(event->sequence), ul(rest));
    else
        return true;
    return false;
}

/* Its place: behind the last one, at a distance that n_missed explains, where all others saw it,
 * and behind what the same producer published before. */
static bool check_place(struct witness *self, const jb_event *event, const struct soak_event *is,
                        const struct account *account)
{
    unsigned long seq = ul(event->sequence);
    uint32_t lane = lane_of(self, is);
    uint64_t before = account->last_sequence[lane];
    uint64_t gap = event->sequence - before - 1;

    if (event->sequence <= before)
        witness_fail(self, "event %lu comes after event %lu", seq, ul(before));
    else if (self->role->is_high_first)
        return check_ahead(self, event, lane, account);
    else if (role_wants_all(self->role) && !role_conflates(self->role) ? gap != event->n_missed
                                                                       : gap < event->n_missed)
        witness_fail(self, "between events %lu and %lu lie %lu, but it was told of %lu missed",
                     ul(before), seq, ul(gap), ul(event->n_missed));
    else if (!role_may_miss(self->role) && event->n_missed)
        witness_fail(self, "event %lu: a lossless subscription has missed %lu", seq,
                     ul(event->n_missed));
    else if (is->producer != SOAK_SYSTEM && is->number <= self->last_number[lane][is->producer])
        witness_fail(self, "event %lu: number %lu of producer %u after number %lu", seq,
                     ul(is->number), is->producer, ul(self->last_number[lane][is->producer]));
    else if (ledger_order(self->ledger, event->sequence, is) != 0)
        witness_fail(self, "event %lu is number %lu of producer %u here, and another elsewhere",
                     seq, ul(is->number), is->producer);
    else
        return true;
    return false;
}

/* The auditor sees every number of every producer, but for those that a death left in doubt, and
 * batches without anything in between. */
static bool audit(struct witness *self, const struct soak_event *is, const struct account *account)
{
    struct ledger *ledger = self->ledger;
    uint64_t last = self->last_number[LANE_REST][is->producer];

    if (is->producer != SOAK_SYSTEM && is->number > last + 1) {
        if (!ledger_may_lack(ledger, is->producer, last + 1, is->number - 1,
                             &self->doubt_hint[is->producer])) {
            witness_fail(self, "of producer %u numbers %lu to %lu were not read, and %lu is here",
                         is->producer, ul(last + 1), ul(is->number - 1), ul(is->number));
            return false;
        }
        ledger->n_holes[is->producer] += is->number - 1 - last;
    }
    if (is->place &&
        (self->before.producer != is->producer || self->before.place != is->place - 1 ||
         self->before.number != is->number - 1)) {
        witness_fail(self,
                     "event %lu is number %lu of producer %u in the midst of a batch, and "
                     "before it is number %lu of producer %u",
                     ul(account_last(account)), ul(is->number), is->producer,
                     ul(self->before.number), self->before.producer);
        return false;
    }
    self->before = *is;
    if (account_last(account) % SOAK_SNAP_EVERY == 0)
        ledger->snaps[account_last(account) / SOAK_SNAP_EVERY] = account->got;
    if (is->producer != SOAK_SYSTEM)
        ledger->last_of[soak_topic_key(is)] = account_last(account);
    if (account_last(account) > ledger->max_events / 16 * 15)
        atomic_store(&ledger->stop, 1);
    return true;
}

bool witness_enter(struct witness *self, const jb_event *event, struct account *account)
{
    struct soak_event is;
    uint32_t lane;

    if (!check_content(self, event, &is) || !check_place(self, event, &is, account))
        return false;
    lane = lane_of(self, &is);
    if (self->role->is_high_first && account->last_sequence[lane] == 0)
        account->start_sequence[lane] = event->sequence - 1;
    account->last_sequence[lane] = event->sequence;
    if (!self->role->is_high_first)
        account->last_sequence[LANE_HIGH] = event->sequence;
    account->n_events++;
    account->n_bytes += event->len_bytes;
    account->n_missed += event->n_missed;
    account->got.n[is.priority == JB_PRIORITY_HIGH][is.producer][is.topic]++;
    if (self->role->is_auditor && !audit(self, &is, account))
        return false;
    self->last_number[lane][is.producer] = is.number;
    if (is.producer != SOAK_SYSTEM)
        self->last_of[soak_topic_key(&is)] = event->sequence;
    if (event->n_missed)
        self->last_behind_missed = event->sequence;
    if (is.producer == SOAK_CLOSER)
        self->closed_topics |= 1u << is.topic;
    return true;
}

bool witness_is_sound(struct witness *self, const jb_event *event)
{
    struct soak_event is;

    if (!check_content(self, event, &is))
        return false;
    if (ledger_order(self->ledger, event->sequence, &is) == 0)
        return true;
    witness_fail(self, "event %lu is number %lu of producer %u here, and another elsewhere",
                 ul(event->sequence), ul(is.number), is.producer);
    return false;
}

bool witness_glance(struct witness *self, const jb_event *events, int n)
{
    self->n_glances++;
    for (int i = 0; i < n; i++) {
        struct soak_event is;
        uint64_t *glance;

        if (topic_of_id(self, events[i].topic_id) > SOAK_TOPICS)
            continue;
        if (!check_content(self, &events[i], &is))
            return false;
        glance = &self->in_glance[soak_topic_key(&is)];
        if (*glance == self->n_glances) {
            witness_fail(self, "event %lu: one on %s with key %u was shown in the same glance",
                         ul(events[i].sequence), soak_topic_name(is.producer, is.topic), is.about);
            return false;
        }
        *glance = self->n_glances;
    }
    return true;
}

/* May the newest event with this topic and key be one that it was not shown? */
static bool may_lack(const struct witness *self, const struct account *account, uint64_t newest,
                     uint64_t *n_missed)
{
    if (newest <= account_start(account) || newest < self->last_behind_missed)
        return true;
    return newest > account_last(account) && *n_missed && (*n_missed)--;
}

bool witness_has_newest(struct witness *self, const struct account *account, uint64_t n_missed)
{
    for (uint32_t key = 0; key < SOAK_SYSTEM * SOAK_KEYS * SOAK_TOPICS; key++) {
        uint32_t topic = key % SOAK_TOPICS, producer = key / SOAK_TOPICS / SOAK_KEYS;
        uint64_t newest = self->ledger->last_of[key], seen = self->last_of[key];

        if (!role_wants(self->role, producer, topic) || seen == newest ||
            (seen < newest && may_lack(self, account, newest, &n_missed)))
            continue;
        witness_fail(self,
                     "of producer %u on %s event %lu is the newest with its key, and event %lu was "
                     "the last it was shown",
                     producer, soak_topic_name(producer, topic), ul(newest), ul(seen));
        return false;
    }
    return true;
}
