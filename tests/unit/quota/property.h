/*
 * property.h: the plain model of a coordinator: what is held, who waits, and who of them could be
 * served.
 */
#ifndef TEST_PROPERTY_H
#define TEST_PROPERTY_H

#include "quota.h"

enum { HELD = 24, IN_LINE = 12, N_MEM = 2, N_RES = 3 };

struct held {
    jb_lease lease;
    uint32_t component;
    uint64_t amount[N_RES];
    bool has_notice;
};

struct waiting {
    jb_ticket ticket;
    uint32_t component;
    uint32_t lease_class;
    uint64_t amount[N_RES];
    uint64_t since_ns;
    bool was_granted;
};

static const jb_resource_spec resources[N_RES] = {
    {.name = "ram", .kind = JB_RESOURCE_MEMORY, .capacity = 100, .headroom = 10},
    {.name = "vram", .kind = JB_RESOURCE_GPU_MEMORY, .capacity = 50},
    {.name = "cpu", .kind = JB_RESOURCE_CPU, .capacity = 8},
};
static const jb_share_spec shares[] = {
    {.component = BOB, .resource = 0, .guaranteed = 30, .ceiling = 60},
    {.component = CAROL, .resource = 1, .guaranteed = 10, .ceiling = 20},
};

static jb_coord *coord;
static struct held held[HELD];
static struct waiting in_line[IN_LINE];
static uint32_t n_held, n_in_line;
/* Room may be kept until then for one that leases were given notice for. */
static uint64_t promised_until_ns;
static const uint64_t nothing[N_RES];
static uint64_t now_ns, cursor, last_token, foreign[N_RES], aging_ns;

static uint64_t limit_of(uint32_t resource)
{
    return resources[resource].capacity - resources[resource].headroom;
}

static uint64_t ceiling_of(uint32_t component, uint32_t resource)
{
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        if (shares[i].component == component && shares[i].resource == resource)
            return shares[i].ceiling;
    }
    return limit_of(resource);
}

static uint64_t sum_of(uint32_t resource, uint32_t component)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n_held; i++) {
        if (component == N_COMPONENTS || held[i].component == component)
            sum += held[i].amount[resource];
    }
    return sum;
}

static bool is_below_ceiling(uint32_t component, const uint64_t amount[N_RES])
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (amount[i] && sum_of(i, component) + amount[i] > ceiling_of(component, i))
            return false;
    }
    return true;
}

/* Beside what is held and what is kept for others. */
static bool fits(uint32_t component, const uint64_t amount[N_RES], const uint64_t kept[N_RES])
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (amount[i] && sum_of(i, N_COMPONENTS) + foreign[i] + kept[i] + amount[i] > limit_of(i))
            return false;
    }
    return is_below_ceiling(component, amount);
}

static bool same_line(const struct waiting *a, const struct waiting *b)
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (!a->amount[i] != !b->amount[i])
            return false;
    }
    return a->component == b->component && a->lease_class == b->lease_class;
}

static uint64_t due_ns(const struct waiting *waiting)
{
    return waiting->since_ns + (JB_CLASS_CRITICAL + 1 - waiting->lease_class) * aging_ns;
}

/* The first of the heads to have become due of those that are not done; IN_LINE: there is none. */
static uint32_t next_due(const bool is_head[IN_LINE], bool is_done[IN_LINE])
{
    uint32_t next = IN_LINE;

    for (uint32_t i = 0; i < n_in_line; i++) {
        if (is_head[i] && !is_done[i] && due_ns(&in_line[i]) <= now_ns &&
            (next == IN_LINE || due_ns(&in_line[i]) < due_ns(&in_line[next])))
            next = i;
    }
    if (next < IN_LINE)
        is_done[next] = true;
    return next;
}

static bool can_come_free(const uint64_t amount[N_RES])
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (foreign[i] + amount[i] > limit_of(i))
            return false;
    }
    return true;
}

/* By a ceiling of its component; what that has itself of all there is, is none. */
static bool is_held_up(uint32_t component, const uint64_t amount[N_RES])
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (amount[i] && ceiling_of(component, i) < limit_of(i) &&
            sum_of(i, component) + amount[i] > ceiling_of(component, i))
            return true;
    }
    return false;
}

/* Below a ceiling of its component, would this one leave too little for that one? */
static bool is_in_the_way(const struct waiting *one, const struct waiting *due)
{
    for (uint32_t i = 0; i < N_RES; i++) {
        if (one->component == due->component && one->amount[i] && due->amount[i] &&
            ceiling_of(one->component, i) < limit_of(i) &&
            sum_of(i, one->component) + one->amount[i] + due->amount[i] >
                ceiling_of(one->component, i))
            return true;
    }
    return false;
}

/* Is it in the way of one that is due, of the first n? */
static bool is_held_back(const struct waiting *one, const struct waiting *due[IN_LINE], uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (is_in_the_way(one, due[i]))
            return true;
    }
    return false;
}

/* No head of a line fits, beside what is kept for those that are due: from everybody, or where
 * their own ceiling is in the way from their own component alone. One that has to wait for what is
 * foreign is no head. */
static void check_heads(const bool waits[IN_LINE])
{
    bool is_head[IN_LINE], is_done[IN_LINE] = {false};
    const struct waiting *before[IN_LINE];
    uint32_t n_before = 0;
    uint64_t kept[N_RES] = {0};

    for (uint32_t i = 0; i < n_in_line; i++) {
        is_head[i] = waits[i] && can_come_free(in_line[i].amount);
        for (uint32_t j = 0; j < i; j++)
            is_head[i] &= !(is_head[j] && same_line(&in_line[i], &in_line[j]));
    }
    for (uint32_t i = next_due(is_head, is_done); i < IN_LINE; i = next_due(is_head, is_done)) {
        const struct waiting *due = &in_line[i];

        must(!fits(due->component, due->amount, kept) || is_held_back(due, before, n_before));
        before[n_before++] = due;
        for (uint32_t j = 0; j < N_RES && !is_held_up(due->component, due->amount); j++)
            kept[j] += due->amount[j];
    }
    for (uint32_t i = 0; i < n_in_line && now_ns >= promised_until_ns; i++)
        must(!is_head[i] || is_done[i] || !fits(in_line[i].component, in_line[i].amount, kept) ||
             is_held_back(&in_line[i], before, n_before));
}

#endif
