/*
 * rate_order.c: who of those who wait for rates goes next; see rate_line.h for the order.
 *
 * What an earlier one wants is **kept**: a later one goes past it only if at the moment when the
 * earlier one can go, as things stand, there is still what it wants. So one who wants much comes to
 * it however many there are who want little, and one who waits for an hour's calls does not keep
 * tokens idle that are back by then. One whose own component's limit is in the way keeps that one
 * from its component, and nothing from others.
 *
 * What a component had is counted (rate_tags.h) only while others wait: what nobody else wanted is
 * not held against anybody.
 *
 * Heads of lines are looked at, not everybody: of one component and class whoever shares a resource
 * with one that came before is no head. Of more than HEADS_MAX the rest wait until those have gone.
 */
#include "quota/rate_line.h"
#include "quota/rate_tags.h"

#include <string.h>

enum { HEADS_MAX = 128 };

struct head {
    uint64_t due_ns; /* UINT64_MAX: not yet */
    uint64_t tag;
    uint64_t id;
    uint32_t component;
    uint32_t class_idx;
    uint32_t slot;
};

/* The heads in their order. */
struct heads {
    struct head at[HEADS_MAX];
    uint64_t seen[JB_QUOTA_COMPONENTS_MAX][JBI_QUOTA_CLASSES]; /* resources that are wanted */
    uint64_t wanted;                                           /* by anybody */
    uint64_t next_ns; /* when somebody becomes due or has to leave */
    uint32_t n;
    bool is_cut; /* there are more */
};

/* What is kept of each limit, and until the first of those it is kept for can go. */
struct kept {
    uint64_t amount[JB_QUOTA_LIMITS_MAX];
    uint64_t until_ns[JB_QUOTA_LIMITS_MAX];
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    return b < UINT64_MAX - a ? a + b : UINT64_MAX;
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- heads */

/* How long each class waits until it is due. */
static void bounds_of(const struct jbi_limits *limits, uint64_t ret_bounds[JBI_QUOTA_CLASSES])
{
    for (uint64_t i = 0; i < JBI_QUOTA_CLASSES; i++) {
        if (__builtin_mul_overflow(JBI_QUOTA_CLASSES - i, limits->books->head->aging_ns,
                                   &ret_bounds[i]))
            ret_bounds[i] = UINT64_MAX;
    }
}

/* Where somebody has his place who came then. */
static struct head head_of(const struct jbi_limits *limits, const struct jbi_usage *usage,
                           uint64_t id, uint32_t slot)
{
    const struct jbi_quota_head *books = limits->books->head;
    uint64_t bounds[JBI_QUOTA_CLASSES];
    struct head head = {.due_ns = UINT64_MAX,
                        .id = id,
                        .component = usage->component,
                        .class_idx = usage->class_idx,
                        .slot = slot};

    bounds_of(limits, bounds);
    if (usage->waited_ns >= bounds[usage->class_idx])
        head.due_ns = plus(books->now_ns - usage->waited_ns, bounds[usage->class_idx]);
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        if (jbi_rate_taken(&limits->limits[i], usage) != 0)
            head.tag =
                later(head.tag, jbi_rate_lead(limits, i, usage->component, usage->class_idx));
    }
    return head;
}

static bool is_before(const struct head *a, const struct head *b)
{
    if (a->due_ns != b->due_ns)
        return a->due_ns < b->due_ns;
    if (a->due_ns == UINT64_MAX && a->class_idx != b->class_idx)
        return a->class_idx > b->class_idx;
    if (a->due_ns == UINT64_MAX && a->tag != b->tag)
        return a->tag < b->tag;
    return a->id < b->id;
}

static void heads_add(struct heads *heads, const struct head *head)
{
    uint32_t at = heads->n;

    if (at == HEADS_MAX) {
        heads->is_cut = true;
        if (!is_before(head, &heads->at[--at]))
            return;
    } else {
        heads->n++;
    }
    for (; at > 0 && is_before(head, &heads->at[at - 1]); at--)
        heads->at[at] = heads->at[at - 1];
    heads->at[at] = *head;
}

/* One more of the line. */
static void heads_look(const struct jbi_limits *limits, struct heads *heads, uint32_t slot)
{
    const struct jbi_rate_waiter *waiter = &limits->waiters[slot];
    uint64_t who = waiter->who, mask = jbi_rate_mask(who, waiter->resources);
    uint64_t component = (who & 0xffff) < limits->n_components ? who & 0xffff : 0;
    uint64_t *seen = &heads->seen[component][who >> 24 & (JBI_QUOTA_CLASSES - 1)];
    struct jbi_usage usage;
    struct head head;

    if ((*seen & mask) == 0) {
        jbi_rate_unpack(limits, waiter, &usage);
        head = head_of(limits, &usage, waiter->id, slot);
        heads_add(heads, &head);
    }
    *seen |= mask;
    heads->wanted |= mask;
}

static void heads_find(const struct jbi_limits *limits, struct heads *heads)
{
    uint64_t now_ns = limits->books->head->now_ns;
    uint64_t at = limits->head->line.first;
    uint64_t bounds[JBI_QUOTA_CLASSES];

    heads->n = 0;
    heads->is_cut = false;
    heads->wanted = 0;
    heads->next_ns = UINT64_MAX;
    memset(heads->seen, 0, limits->n_components * sizeof heads->seen[0]);
    bounds_of(limits, bounds);
    for (uint32_t i = 0; i < limits->n_waiters && jbi_rate_get(limits, at); i++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(limits, at);
        uint64_t due_ns =
            plus(waiter->since_ns, bounds[waiter->who >> 24 & (JBI_QUOTA_CLASSES - 1)]);

        heads_look(limits, heads, (uint32_t)at - 1);
        heads->next_ns = sooner(heads->next_ns, waiter->until_ns);
        heads->next_ns = sooner(heads->next_ns, due_ns > now_ns ? due_ns : UINT64_MAX);
        at = waiter->next;
    }
}

static uint64_t mask_of(const struct jbi_usage *usage)
{
    return jbi_rate_mask(jbi_usage_who(usage), jbi_usage_resources(usage));
}

/* --- what is kept */

static void keep(const struct jbi_limits *limits, const struct jbi_usage *usage,
                 const struct jbi_standing *standing, struct kept *kept)
{
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        const struct jbi_limit *limit = &limits->limits[i];
        uint64_t n = jbi_rate_counted(limit, usage);

        /* Whom its own component's limits stand in the way of keeps those alone. */
        if (n == 0 || (standing->is_own && limit->component == JB_LIMIT_ALL))
            continue;
        kept->until_ns[i] =
            kept->amount[i] ? sooner(kept->until_ns[i], standing->go_ns) : standing->go_ns;
        kept->amount[i] = plus(kept->amount[i], n);
    }
}

/* When a rate has what is kept, if that much goes before. */
static uint64_t kept_after_ns(const struct jbi_limits *limits, const struct jbi_limit *limit,
                              uint64_t n, uint64_t theirs)
{
    struct jbi_gcra_terms terms = jbi_limit_terms(limit);
    uint64_t at = jbi_gcra_ticks(limit->gcra.epoch_ns, limits->books->head->now_ns);
    uint64_t paid = jbi_gcra_charged(&terms, limit->gcra.paid_ticks, at, n), next, retry_ns = 0;

    /* More than there ever is at once: a full one misses nothing. */
    if (jbi_gcra_decide(&terms, paid, at, sooner(theirs, terms.burst), &next, &retry_ns) == 0)
        return 0;
    return retry_ns;
}

/* Would it take of a limit what has to be there for others? What it has is back in time, should
 * they come that late. */
static bool is_in_the_way(const struct jbi_limits *limits, uint32_t idx, uint64_t n,
                          const struct kept *kept)
{
    struct jbi_limit *limit = &limits->limits[idx];
    uint64_t theirs = kept->amount[idx], retry_ns = 0;
    uint64_t back_ns =
        plus(limits->head->hold_ns, limit->kind == JB_LIMIT_OPEN ? 0 : limit->period_ns);

    if (theirs == 0 || n == 0)
        return false;
    if (limit->kind == JB_LIMIT_RATE)
        return kept_after_ns(limits, limit, n, theirs) > kept->until_ns[idx];
    if (back_ns <= kept->until_ns[idx])
        return false;
    if (limit->kind == JB_LIMIT_OPEN)
        return limit->open >= limit->in_force || theirs >= limit->in_force - limit->open;
    switch (
        jbi_limit_decide(limits, limit, plus(theirs, n), limits->books->head->now_ns, &retry_ns)) {
    case 0:
        return false;
    case JB_EAGAIN:
        return retry_ns > kept->until_ns[idx];
    default:
        return true;
    }
}

/* Where somebody stands when that is kept for those before him. */
static void judge(const struct jbi_limits *limits, const struct jbi_usage *usage,
                  const struct kept *kept, struct jbi_standing *ret)
{
    struct jbi_reach reach;
    uint64_t line_ns = 0;

    jbi_limits_reach(limits, usage, &reach);
    *ret = (struct jbi_standing){.rc = reach.rc, .denial = reach.denial};
    if (reach.rc == JB_ETOOBIG)
        return;
    for (uint32_t i = 0; kept && i < limits->n_limits; i++) {
        const struct jbi_limit *limit = &limits->limits[i];

        if (!is_in_the_way(limits, i, jbi_rate_counted(limit, usage), kept))
            continue;
        ret->is_held = true;
        line_ns = later(line_ns, kept->until_ns[i]);
        if (limit->component == JB_LIMIT_ALL)
            reach.shared_ns = later(reach.shared_ns, kept->until_ns[i]);
        else
            reach.own_ns = later(reach.own_ns, kept->until_ns[i]);
        if (ret->rc == 0)
            ret->denial.limit = i;
        ret->rc = JB_EAGAIN;
    }
    ret->is_own = reach.own_ns > reach.shared_ns;
    ret->go_ns = later(reach.shared_ns, reach.own_ns == UINT64_MAX ? 0 : reach.own_ns);
    if (ret->is_held)
        ret->denial.retry_after_ns = later(ret->denial.retry_after_ns, line_ns);
    if (ret->is_held && ret->denial.retry_after_ns == 0)
        ret->denial.retry_after_ns = UINT64_MAX;
    /* Who can go and does not waits for a place in the table. */
    ret->sleep_ns = ret->is_held || ret->rc == 0 ? UINT64_MAX : ret->denial.retry_after_ns;
}

/* --- going */

/* How long a limit makes it wait, alone or for those before it; UINT64_MAX: until a reservation
 * ends. */
static uint64_t wait_ns(const struct jbi_limits *limits, uint32_t idx,
                        const struct jbi_usage *usage, const struct kept *kept)
{
    struct jbi_limit *limit = &limits->limits[idx];
    uint64_t n = jbi_rate_taken(limit, usage), now_ns = limits->books->head->now_ns, retry_ns = 0;

    if (n == 0 || jbi_limit_decide(limits, limit, n, now_ns, &retry_ns) == 0)
        retry_ns = 0;
    if (n != 0 && limit->blocked_until_ns > now_ns)
        retry_ns = later(retry_ns, limit->blocked_until_ns - now_ns);
    return is_in_the_way(limits, idx, n, kept) ? later(retry_ns, kept->until_ns[idx]) : retry_ns;
}

/* Virtual time of the limit that it waits for longest goes no further than where it stands. Of the
 * others it is not held back: who waits an hour for a call would keep the time of tokens where it
 * came, and whoever comes late would have them all. */
static void hold_time(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      const struct kept *kept, uint64_t least[JB_QUOTA_LIMITS_MAX])
{
    uint64_t longest_ns = 0;

    for (uint32_t i = 0; i < limits->n_limits; i++)
        longest_ns = later(longest_ns, wait_ns(limits, i, usage, kept));
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        if (jbi_rate_taken(&limits->limits[i], usage) != 0 &&
            wait_ns(limits, i, usage, kept) == longest_ns)
            least[i] =
                sooner(least[i], jbi_rate_start_tag(limits, i, usage->component, usage->class_idx));
    }
}

/* The charge, and virtual time: the start tag of who goes, but never beyond that of one who waits
 * and could go as far as its own limits say. Who goes out of order does not take it along. */
static void charge(const struct jbi_limits *limits, const struct jbi_usage *usage)
{
    uint64_t least[JB_QUOTA_LIMITS_MAX];
    uint64_t mask = mask_of(usage);
    struct kept kept = {.amount = {0}};
    struct heads heads;

    heads_find(limits, &heads);
    if ((heads.wanted & mask) == 0)
        return;
    for (uint32_t i = 0; i < limits->n_limits; i++)
        least[i] = jbi_rate_start_tag(limits, i, usage->component, usage->class_idx);
    for (uint32_t k = 0; k < heads.n; k++) {
        struct jbi_standing standing;
        struct jbi_usage other;
        bool is_sharing;

        jbi_rate_unpack(limits, &limits->waiters[heads.at[k].slot], &other);
        is_sharing = (mask_of(&other) & mask) != 0;
        /* The one that goes, still in the line. */
        if (is_sharing && other.component == usage->component &&
            other.class_idx == usage->class_idx)
            continue;
        judge(limits, &other, &kept, &standing);
        if (standing.rc == JB_ETOOBIG)
            continue;
        if (is_sharing && other.class_idx == usage->class_idx && !standing.is_own)
            hold_time(limits, &other, &kept, least);
        keep(limits, &other, &standing, &kept);
    }
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        const struct jbi_limit *limit = &limits->limits[i];
        uint64_t n = jbi_rate_taken(limit, usage);

        if (n == 0)
            continue;
        jbi_limits_set(limits, jbi_rate_finish_tag(limits, i, usage->component, usage->class_idx),
                       plus(jbi_rate_start_tag(limits, i, usage->component, usage->class_idx),
                            jbi_rate_charge(limits, limit, usage->component, n)));
        jbi_limits_set(limits, jbi_rate_virtual_time(limits, i, usage->class_idx), least[i]);
    }
}

int64_t jbi_rate_give(const struct jbi_limits *limits, const struct jbi_usage *usage,
                      uint64_t *ret_token)
{
    int64_t slot = jbi_limits_give(limits, usage, ret_token);

    if (slot >= 0 && limits->head->line.n_waiting != 0)
        charge(limits, usage);
    return slot;
}

void jbi_rate_charge_more(const struct jbi_limits *limits, const struct jbi_usage *usage,
                          const uint64_t *used)
{
    struct heads heads;

    if (limits->head->line.n_waiting == 0)
        return;
    heads_find(limits, &heads);
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        const struct jbi_limit *limit = &limits->limits[i];
        int place = jbi_limit_place_in(limit, usage);
        uint64_t *finish;

        if (place < 0 || limit->component != JB_LIMIT_ALL || limit->kind == JB_LIMIT_OPEN ||
            used[place] <= usage->amount[place] || (heads.wanted & mask_of(usage)) == 0)
            continue;
        finish = jbi_rate_finish_tag(limits, i, usage->component, usage->class_idx);
        jbi_limits_set(limits, finish,
                       plus(jbi_rate_start_tag(limits, i, usage->component, usage->class_idx),
                            jbi_rate_charge(limits, limit, usage->component,
                                            used[place] - usage->amount[place])));
    }
}

/* Does somebody of that class wait for what this limit counts? */
static bool is_wanted(const struct jbi_limits *limits, const struct jbi_limit *limit,
                      uint32_t class_idx)
{
    uint64_t at = limits->head->line.first;

    for (uint32_t i = 0; i < limits->n_waiters && jbi_rate_get(limits, at); i++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(limits, at);
        struct jbi_usage usage;

        jbi_rate_unpack(limits, waiter, &usage);
        if (usage.class_idx == class_idx && jbi_rate_taken(limit, &usage) != 0)
            return true;
        at = waiter->next;
    }
    return false;
}

void jbi_rate_catch_up(const struct jbi_limits *limits, const struct jbi_usage *usage)
{
    for (uint32_t i = 0; i < limits->n_limits; i++) {
        const struct jbi_limit *limit = &limits->limits[i];
        uint64_t latest = 0;

        if (jbi_rate_taken(limit, usage) == 0 || is_wanted(limits, limit, usage->class_idx))
            continue;
        for (uint32_t c = 0; c < limits->n_components; c++)
            latest = later(latest, jbi_rate_start_tag(limits, i, c, usage->class_idx));
        jbi_limits_set(limits, jbi_rate_virtual_time(limits, i, usage->class_idx), latest);
    }
}

/* False: there is no room for another reservation. */
static bool let_go(const struct jbi_limits *limits, uint32_t slot, const struct jbi_usage *usage)
{
    struct jbi_rate_waiter *waiter = &limits->waiters[slot];
    uint64_t token;
    int64_t at = jbi_rate_give(limits, usage, &token);

    if (at < 0)
        return false;
    jbi_rate_unlink(limits, slot);
    jbi_undo_set(limits->undo, &waiter->token, token);
    jbi_undo_set(limits->undo, &waiter->slot, (uint64_t)at);
    jbi_undo_set(limits->undo, &waiter->state, JBI_RATE_GRANTED);
    jbi_undo_commit(limits->undo);
    jbi_rate_ring(limits, slot);
    return true;
}

/* Who sleeps longer than until he can go, because somebody before him went, is told. */
static void shorten_sleep(const struct jbi_limits *limits, uint32_t slot, uint64_t sleep_ns)
{
    if (limits->waiters[slot].wake_ns > plus(limits->books->head->now_ns, sleep_ns))
        jbi_rate_ring(limits, slot);
}

/* Let one go, or end one that never can. False: nobody is left who can. */
static bool serve_one(const struct jbi_limits *limits)
{
    struct kept kept = {.amount = {0}};
    struct jbi_standing standing;
    struct jbi_usage usage;
    struct heads heads;

    heads_find(limits, &heads);
    for (uint32_t i = 0; i < heads.n; i++) {
        uint32_t slot = heads.at[i].slot;

        jbi_rate_unpack(limits, &limits->waiters[slot], &usage);
        judge(limits, &usage, &kept, &standing);
        if (standing.rc == 0 && let_go(limits, slot, &usage))
            return true;
        if (standing.rc == JB_ETOOBIG) {
            jbi_rate_end(limits, slot, JBI_RATE_TOO_BIG);
            return true;
        }
        keep(limits, &usage, &standing, &kept);
        if (standing.rc == 0 || standing.sleep_ns == UINT64_MAX)
            continue;
        heads.next_ns = sooner(heads.next_ns, plus(limits->books->head->now_ns, standing.sleep_ns));
        shorten_sleep(limits, slot, standing.sleep_ns);
    }
    jbi_limits_set(limits, &limits->head->line.serve_ns, heads.next_ns);
    jbi_undo_commit(limits->undo);
    return false;
}

/* Whose time ran out by then. */
static bool time_out(const struct jbi_limits *limits, uint64_t by_ns)
{
    uint64_t at = limits->head->line.first;
    bool is_any = false;

    for (uint32_t i = 0; i < limits->n_waiters && jbi_rate_get(limits, at); i++) {
        const struct jbi_rate_waiter *waiter = jbi_rate_get(limits, at);
        uint32_t slot = (uint32_t)at - 1;

        at = waiter->next;
        if (waiter->state == JBI_RATE_WAITING && waiter->until_ns <= by_ns) {
            jbi_rate_end(limits, slot, JBI_RATE_TIMED_OUT);
            is_any = true;
        }
    }
    return is_any;
}

static void serve_all(const struct jbi_limits *limits)
{
    for (uint32_t i = 0; i <= limits->n_waiters; i++) {
        if (!serve_one(limits))
            break;
    }
}

void jbi_rate_serve(const struct jbi_limits *limits)
{
    uint64_t now_ns = limits->books->head->now_ns;

    if (limits->head->line.n_waiting == 0)
        return;
    /* Whose last moment this is may still go in it. */
    (void)time_out(limits, now_ns ? now_ns - 1 : 0);
    serve_all(limits);
    if (time_out(limits, now_ns))
        serve_all(limits);
}

/* --- asking */

/* When the first of its own component and class can go, behind whom it is; 0: not known. */
static uint64_t fellow_ns(const struct jbi_limits *limits, const struct heads *heads,
                          const struct jbi_usage *usage)
{
    uint64_t first_ns = UINT64_MAX;

    for (uint32_t i = 0; i < heads->n; i++) {
        const struct head *head = &heads->at[i];
        struct jbi_reach reach;
        struct jbi_usage other;

        if (head->component != usage->component || head->class_idx != usage->class_idx)
            continue;
        jbi_rate_unpack(limits, &limits->waiters[head->slot], &other);
        jbi_limits_reach(limits, &other, &reach);
        first_ns =
            sooner(first_ns, later(reach.shared_ns, reach.own_ns == UINT64_MAX ? 0 : reach.own_ns));
    }
    return first_ns == UINT64_MAX ? 0 : first_ns;
}

static void hold(const struct jbi_limits *limits, const struct heads *heads,
                 const struct jbi_usage *usage, struct jbi_standing *standing)
{
    uint64_t line_ns = fellow_ns(limits, heads, usage);

    standing->sleep_ns = UINT64_MAX;
    if (standing->rc == JB_ETOOBIG)
        return;
    for (uint32_t i = 0; standing->rc == 0 && i < limits->n_limits; i++) {
        if (jbi_limit_place_in(&limits->limits[i], usage) >= 0) {
            standing->denial.limit = i;
            standing->rc = JB_EAGAIN;
        }
    }
    standing->is_held = true;
    standing->denial.retry_after_ns = later(standing->denial.retry_after_ns, line_ns);
    if (standing->denial.retry_after_ns == 0)
        standing->denial.retry_after_ns = UINT64_MAX;
}

void jbi_rate_ask(const struct jbi_limits *limits, const struct jbi_usage *usage, uint32_t slot,
                  struct jbi_standing *ret_standing)
{
    bool is_there = slot != JBI_RATE_NOBODY, is_found = false;
    struct kept kept = {.amount = {0}};
    struct jbi_usage other;
    struct heads heads;
    struct head self;

    if (limits->head->line.n_waiting == 0) {
        judge(limits, usage, NULL, ret_standing);
        return;
    }
    heads_find(limits, &heads);
    if (!is_there && (heads.wanted & mask_of(usage)) == 0) {
        judge(limits, usage, NULL, ret_standing);
        return;
    }
    self = head_of(limits, usage, UINT64_MAX, slot);
    for (uint32_t i = 0; i < heads.n && !is_found; i++) {
        is_found = is_there ? heads.at[i].slot == slot : is_before(&self, &heads.at[i]);
        if (is_found)
            break;
        jbi_rate_unpack(limits, &limits->waiters[heads.at[i].slot], &other);
        judge(limits, &other, &kept, ret_standing);
        if (ret_standing->rc != JB_ETOOBIG)
            keep(limits, &other, ret_standing, &kept);
    }
    judge(limits, usage, &kept, ret_standing);
    if (is_there ? !is_found
                 : (heads.seen[usage->component][usage->class_idx] & mask_of(usage)) != 0 ||
                       (heads.is_cut && !is_found))
        hold(limits, &heads, usage, ret_standing);
}
