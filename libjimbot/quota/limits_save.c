/*
 * limits_save.c: where the limits stand, as bytes that outlive the machine's run.
 *
 * Everything is written as how long ago it was, or how long it still takes, at one moment of UTC;
 * when it is read, what UTC says has passed since then has passed, and nothing if it went back.
 * Invariant: reading lowers what can be taken and never raises it. What is read comes from a file:
 * all of it is looked at before any of it counts.
 *
 *     head, then for each limit its line and, of a window, its entries
 */
#include "quota/coord.h"
#include "quota/limits.h"
#include "quota/usage.h"

#include <string.h>

#define MAGIC UINT64_C(0x0a31736574617262) /* "brates1\n", which also tells the order of bytes */

struct saved_head {
    uint64_t magic;
    uint64_t utc_ns;
    uint64_t n_limits;
};

/* A limit is known again by its names, kind and period, and as the nth of those that are alike. */
struct saved_limit {
    char resource[JB_QUOTA_NAME_BYTES];
    char component[JB_QUOTA_NAME_BYTES]; /* "": all */
    uint64_t kind;
    uint64_t period_ns;
    uint64_t nth;
    uint64_t in_force;
    uint64_t missing; /* of a rate: units that had not come back */
    uint64_t blocked_ns;
    uint64_t n_entries;
};

struct saved_entry {
    uint64_t age_ns;
    uint64_t amount;
};

static void key_of(const struct jbi_books *books, const struct jbi_limits *limits, uint32_t idx,
                   struct saved_limit *ret_key)
{
    const struct jbi_limit *limit = &limits->limits[idx];
    uint64_t resource = limit->resource, component = limit->component;

    memset(ret_key, 0, sizeof *ret_key);
    if (resource < books->n_resources)
        memcpy(ret_key->resource, books->resources[resource].name, JB_QUOTA_NAME_BYTES);
    if (component < books->n_components)
        memcpy(ret_key->component, books->components[component].name, JB_QUOTA_NAME_BYTES);
    ret_key->kind = limit->kind;
    ret_key->period_ns = limit->period_ns;
    for (uint32_t i = 0; i < idx; i++) {
        const struct jbi_limit *other = &limits->limits[i];

        ret_key->nth += other->resource == limit->resource &&
                        other->component == limit->component && other->kind == limit->kind &&
                        other->period_ns == limit->period_ns;
    }
}

static bool is_same(const struct saved_limit *a, const struct saved_limit *b)
{
    return memcmp(a, b, offsetof(struct saved_limit, in_force)) == 0;
}

/* Appends, or only counts where there is no room. */
struct out {
    uint8_t *at;
    size_t cap;
    size_t n;
};

static void put(struct out *out, const void *bytes, size_t n)
{
    if (n <= out->cap && out->n <= out->cap - n)
        memcpy(out->at + out->n, bytes, n);
    out->n += n;
}

static void save_limit(struct out *out, const struct jbi_books *books,
                       const struct jbi_limits *limits, uint32_t idx)
{
    struct jbi_limit *limit = &limits->limits[idx];
    uint64_t now = books->head->now_ns, blocked = limit->blocked_until_ns, n = 0;
    struct saved_entry open = {.amount = limit->kind == JB_LIMIT_WINDOW ? limit->open : 0};
    struct jbi_window window = jbi_limit_window(limits, limit);
    struct saved_limit line;
    struct saved_entry entry;

    key_of(books, limits, idx, &line);
    line.in_force = limit->in_force;
    line.blocked_ns = blocked > now ? blocked - now : 0;
    line.missing = jbi_limit_missing(limit, now);
    if (limit->kind == JB_LIMIT_WINDOW) {
        while (jbi_window_entry_at(&window, n, jbi_limit_time(now), &entry.age_ns, &entry.amount))
            n++;
    }
    line.n_entries = n + (open.amount != 0);
    put(out, &line, sizeof line);
    for (uint64_t i = 0; i < n; i++) {
        (void)jbi_window_entry_at(&window, i, jbi_limit_time(now), &entry.age_ns, &entry.amount);
        put(out, &entry, sizeof entry);
    }
    if (open.amount != 0)
        put(out, &open, sizeof open);
}

int64_t jb_usage_save(jb_coord *coord, uint64_t utc_now_ns, void *buf, size_t cap_bytes)
{
    struct saved_head head = {.magic = MAGIC, .utc_ns = utc_now_ns};
    struct out out = {.at = buf, .cap = cap_bytes};
    struct jbi_limits limits;
    int rc;

    if (!coord || (!buf && cap_bytes != 0))
        return JB_EINVAL;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    head.n_limits = limits.n_limits;
    put(&out, &head, sizeof head);
    for (uint32_t i = 0; i < limits.n_limits; i++)
        save_limit(&out, &coord->books, &limits, i);
    jbi_coord_leave(coord);
    return (int64_t)out.n;
}

/* What is left to read. */
struct in {
    const uint8_t *at;
    size_t n;
};

static bool get(struct in *in, void *ret, size_t n)
{
    if (in->n < n)
        return false;
    memcpy(ret, in->at, n);
    in->at += n;
    in->n -= n;
    return true;
}

/* One line and its entries, which stay where they are. */
static bool get_limit(struct in *in, struct saved_limit *ret_line, struct in *ret_entries)
{
    if (!get(in, ret_line, sizeof *ret_line) ||
        ret_line->n_entries > in->n / sizeof(struct saved_entry))
        return false;
    ret_entries->at = in->at;
    ret_entries->n = (size_t)ret_line->n_entries * sizeof(struct saved_entry);
    in->at += ret_entries->n;
    in->n -= ret_entries->n;
    return true;
}

static bool is_whole(struct in in)
{
    struct saved_limit line;
    struct saved_head head;
    struct in entries;

    if (!get(&in, &head, sizeof head) || head.magic != MAGIC || head.n_limits > JB_QUOTA_LIMITS_MAX)
        return false;
    for (uint64_t i = 0; i < head.n_limits; i++) {
        if (!get_limit(&in, &line, &entries))
            return false;
    }
    return in.n == 0;
}

static void load_limit(const struct jbi_books *books, const struct jbi_limits *limits,
                       struct jbi_limit *limit, const struct saved_limit *line, struct in entries,
                       uint64_t passed_ns)
{
    struct jb_correction amount = {.flags = JB_CORRECT_LIMIT, .limit = line->in_force};
    struct jbi_window window = jbi_limit_window(limits, limit);
    uint64_t now = books->head->now_ns, zero = jbi_limit_time(now);
    struct saved_entry entry;

    jbi_limits_correct(limits, (uint32_t)(limit - limits->limits), &amount, now);
    if (line->blocked_ns > passed_ns)
        jbi_limit_block(limits, limit,
                        line->blocked_ns - passed_ns < UINT64_MAX - now
                            ? now + (line->blocked_ns - passed_ns)
                            : UINT64_MAX);
    jbi_limit_miss(limits, limit, line->missing, passed_ns, now);
    while (limit->kind == JB_LIMIT_WINDOW && get(&entries, &entry, sizeof entry)) {
        uint64_t period = limit->period_ns;

        if (passed_ns < period && entry.age_ns < period - passed_ns)
            jbi_window_add(&window, entry.amount, zero - entry.age_ns - passed_ns);
        jbi_undo_commit(limits->undo);
    }
    jbi_undo_commit(limits->undo);
}

static void load(const struct jbi_books *books, const struct jbi_limits *limits, struct in in,
                 uint64_t utc_now_ns)
{
    struct saved_head head = {0};
    uint64_t passed_ns;

    (void)get(&in, &head, sizeof head);
    passed_ns = utc_now_ns > head.utc_ns ? utc_now_ns - head.utc_ns : 0;
    for (uint64_t i = 0; i < head.n_limits; i++) {
        struct saved_limit line, key;
        struct in entries;

        if (!get_limit(&in, &line, &entries))
            return;
        for (uint32_t j = 0; j < limits->n_limits; j++) {
            key_of(books, limits, j, &key);
            if (is_same(&line, &key))
                load_limit(books, limits, &limits->limits[j], &line, entries, passed_ns);
        }
    }
}

static bool has_history(const struct jbi_limits *limits)
{
    uint64_t n = limits->head->is_loaded | limits->head->n_open;

    for (uint32_t i = 0; i < limits->n_limits; i++)
        n |= limits->limits[i].n_taken;
    return n != 0;
}

int jb_usage_load(jb_coord *coord, uint64_t utc_now_ns, const void *buf, size_t len_bytes)
{
    struct in in = {.at = buf, .n = len_bytes};
    struct jbi_limits limits;
    int rc;

    if (!coord || (!buf && len_bytes != 0))
        return JB_EINVAL;
    if (!is_whole(in))
        return JB_ECORRUPT;
    rc = jbi_usage_enter(coord, &limits);
    if (rc)
        return rc;
    if (has_history(&limits)) {
        rc = JB_ESTATE;
    } else {
        load(&coord->books, &limits, in, utc_now_ns);
        jbi_undo_set(limits.undo, &limits.head->is_loaded, 1);
        jbi_undo_commit(limits.undo);
    }
    jbi_coord_leave(coord);
    return rc;
}
