/*
 * limits_open.c: the limits of a coordinator, checked, written into its block once, and found there
 * again.
 *
 * Invariant: what is found lies inside the region, whatever its head says of its sizes.
 */
#include "base/error.h"
#include "quota/limits.h"

struct sizes {
    uint64_t n_limits;
    uint64_t n_reservations;
    uint64_t n_waiters;
    uint64_t n_components;
    uint64_t n_log;
};

static uint64_t region_bytes(const struct sizes *n)
{
    return sizeof(struct jbi_limits_head) + n->n_limits * sizeof(struct jbi_limit) +
           n->n_reservations * sizeof(struct jbi_reservation) +
           n->n_waiters * sizeof(struct jbi_rate_waiter) +
           n->n_limits * (n->n_components + 1) * sizeof(struct jbi_rate_tags) +
           n->n_log * sizeof(jb_window_entry);
}

static uint64_t log_entries(const jb_limit_spec *spec)
{
    if (spec->kind != JB_LIMIT_WINDOW)
        return 0;
    if (spec->n_entries != 0)
        return spec->n_entries;
    return spec->amount < JBI_LIMIT_LOG_DEFAULT / 2 ? spec->amount * 2 : JBI_LIMIT_LOG_DEFAULT;
}

static int spec_check(const jb_coord_opts *opts, uint32_t idx, jb_error *err)
{
    const jb_limit_spec *spec = &opts->limits[idx];
    struct jbi_gcra_terms terms;

    if (spec->resource >= opts->n_resources ||
        (spec->component != JB_LIMIT_ALL && spec->component >= opts->n_components))
        return jbi_error_set(err, JB_EINVAL, "limit %u is of no resource or component", idx);
    if (spec->kind < JB_LIMIT_RATE || spec->kind > JB_LIMIT_OPEN || spec->amount == 0 ||
        (spec->kind != JB_LIMIT_RATE && spec->burst != 0) ||
        (spec->kind == JB_LIMIT_OPEN) != (spec->period_ns == 0))
        return jbi_error_set(err, JB_EINVAL, "limit %u: kind, amount, period and burst do not fit",
                             idx);
    if (spec->kind == JB_LIMIT_RATE &&
        jbi_gcra_terms_make(spec->amount, spec->period_ns, spec->burst ? spec->burst : spec->amount,
                            &terms) < 0)
        return jbi_error_set(err, JB_EINVAL, "limit %u: the rate is out of range", idx);
    if (spec->n_entries != 0 && (spec->kind != JB_LIMIT_WINDOW || spec->n_entries < 2 ||
                                 spec->n_entries > JBI_LIMIT_LOG_MAX))
        return jbi_error_set(err, JB_EINVAL, "limit %u: n_entries is out of range", idx);
    if (spec->period_ns > JBI_WINDOW_PERIOD_MAX_NS / 4)
        return jbi_error_set(err, JB_EINVAL, "limit %u: the period is out of range", idx);
    return 0;
}

int jbi_limits_check(const jb_coord_opts *opts, jb_error *err)
{
    int rc = 0;

    if (opts->n_limits > JB_QUOTA_LIMITS_MAX || (opts->n_limits != 0 && !opts->limits))
        return jbi_error_set(err, JB_EINVAL, "there are at most %d limits, not %u",
                             JB_QUOTA_LIMITS_MAX, opts->n_limits);
    if (opts->max_reservations < 1 || opts->max_reservations > JBI_RESERVATIONS_MAX)
        return jbi_error_set(err, JB_EINVAL, "max_reservations is out of range: %u",
                             opts->max_reservations);
    if (opts->reservation_ns == 0)
        return jbi_error_set(err, JB_EINVAL, "reservation_ns is 0");
    for (uint32_t i = 0; !rc && i < opts->n_limits; i++)
        rc = spec_check(opts, i, err);
    return rc;
}

/* Of all windows together, and never fewer than one has. */
static uint64_t log_size(const jb_coord_opts *opts)
{
    uint64_t n_log = 0;

    for (uint32_t i = 0; i < opts->n_limits; i++)
        n_log += log_entries(&opts->limits[i]);
    return n_log < 2 ? 2 : n_log;
}

static void sizes_of(const jb_coord_opts *opts, struct sizes *ret_sizes)
{
    *ret_sizes = (struct sizes){.n_limits = opts->n_limits,
                                .n_reservations = opts->max_reservations,
                                .n_waiters = opts->max_waiters,
                                .n_components = opts->n_components,
                                .n_log = log_size(opts)};
}

uint64_t jbi_limits_bytes(const jb_coord_opts *opts)
{
    struct sizes sizes;

    if (opts->n_limits == 0)
        return 0;
    sizes_of(opts, &sizes);
    return region_bytes(&sizes);
}

/* The head's numbers are read once. */
static bool place(struct jbi_limits *limits, void *region, uint64_t bytes, uint32_t n_components,
                  const struct jbi_undo *undo)
{
    struct jbi_limits_head *head = region;
    uint8_t *at = (uint8_t *)region + sizeof *head;
    struct sizes n = {.n_components = n_components};

    if (bytes < sizeof *head)
        return false;
    n.n_limits = head->n_limits;
    n.n_reservations = head->n_reservations;
    n.n_waiters = head->line.n_waiters;
    n.n_log = head->n_log;
    if (n.n_limits == 0 || n.n_limits > JB_QUOTA_LIMITS_MAX ||
        n.n_reservations > JBI_RESERVATIONS_MAX || n.n_waiters > JBI_RATE_WAITERS_MAX ||
        n.n_log < 2 || n.n_log > UINT32_MAX || region_bytes(&n) > bytes)
        return false;
    *limits = (struct jbi_limits){.undo = undo,
                                  .head = head,
                                  .limits = (void *)at,
                                  .n_log = n.n_log,
                                  .n_limits = (uint32_t)n.n_limits,
                                  .n_reservations = (uint32_t)n.n_reservations,
                                  .n_waiters = (uint32_t)n.n_waiters,
                                  .n_components = n_components};
    at += n.n_limits * sizeof(struct jbi_limit);
    limits->reservations = (void *)at;
    at += n.n_reservations * sizeof(struct jbi_reservation);
    limits->waiters = (void *)at;
    at += n.n_waiters * sizeof(struct jbi_rate_waiter);
    limits->tags = (void *)at;
    limits->log =
        (void *)(at + n.n_limits * (n_components + UINT64_C(1)) * sizeof(struct jbi_rate_tags));
    return true;
}

static void limit_format(const struct jbi_limits *limits, uint32_t idx, const jb_limit_spec *spec,
                         uint64_t now_ns)
{
    struct jbi_limit *limit = &limits->limits[idx];
    struct jbi_window window;

    limit->resource = spec->resource;
    limit->component = spec->component;
    limit->kind = spec->kind;
    limit->amount = limit->in_force = spec->amount;
    limit->period_ns = spec->period_ns;
    limit->burst = spec->burst ? spec->burst : spec->amount;
    limit->n_entries = log_entries(spec);
    if (spec->kind == JB_LIMIT_RATE)
        (void)jb_gcra_init(&limit->gcra, spec->amount, spec->period_ns, limit->burst, now_ns);
    if (spec->kind == JB_LIMIT_WINDOW) {
        window = jbi_limit_window(limits, limit);
        jbi_window_init(&window, spec->amount, spec->period_ns);
    }
}

void jbi_limits_format(void *region, const jb_coord_opts *opts, uint64_t token)
{
    uint64_t now_ns = opts->clock ? opts->clock(opts->clock_userdata) : jb_clock_now_ns();
    static const struct jbi_undo not_logged;
    struct jbi_limits_head *head = region;
    struct jbi_limits limits;
    uint64_t n_log = 0;

    if (opts->n_limits == 0)
        return;
    head->n_limits = opts->n_limits;
    head->n_reservations = opts->max_reservations;
    head->hold_ns = opts->reservation_ns;
    head->next_token = token;
    head->n_log = log_size(opts);
    head->line.n_waiters = opts->max_waiters;
    if (!place(&limits, region, UINT64_MAX, opts->n_components, &not_logged))
        return;
    for (uint32_t i = 0; i < opts->n_limits; i++) {
        limits.limits[i].log_first = n_log;
        limit_format(&limits, i, &opts->limits[i], now_ns);
        n_log += limits.limits[i].n_entries;
    }
}

bool jbi_limits_of(const struct jbi_books *books, struct jbi_limits *ret_limits)
{
    if (!place(ret_limits, books->limits, books->limit_bytes, books->n_components, &books->undo))
        return false;
    ret_limits->books = books;
    return true;
}

static bool spec_is_same(const struct jbi_limit *limit, const jb_limit_spec *spec)
{
    return limit->resource == spec->resource && limit->component == spec->component &&
           limit->kind == spec->kind && limit->amount == spec->amount &&
           limit->period_ns == spec->period_ns &&
           limit->burst == (spec->burst ? spec->burst : spec->amount) &&
           limit->n_entries == log_entries(spec);
}

bool jbi_limits_are_same(const struct jbi_books *books, const jb_coord_opts *opts)
{
    struct jbi_limits limits;

    if (opts->n_limits == 0)
        return true;
    if (!jbi_limits_of(books, &limits) || limits.n_limits != opts->n_limits)
        return false;
    for (uint32_t i = 0; i < limits.n_limits; i++) {
        if (!spec_is_same(&limits.limits[i], &opts->limits[i]))
            return false;
    }
    return true;
}
