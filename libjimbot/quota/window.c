/*
 * window.c: what was taken in the last period, entry by entry, in a ring.
 *
 * An entry counts until its newest unit is a period old, so an entry that several takes share keeps
 * the older of them too long and none too short.
 * Invariant: the entries' times never go down from the head on; their amounts add up to `used`.
 * What has left the window stays in the ring until something is added: looking writes nothing.
 *
 * The ring has room for every entry of a period. With at least `limit` entries each take has its
 * own (units given back may leave empty ones; when those fill the ring, the newest entry is
 * shared). With fewer, an entry takes in all that comes within a grain of its first unit: those
 * alive had their first units in the last period and a grain, a grain or more apart, and there are
 * period / grain + 1 <= n_entries such places.
 */
#include "quota/window.h"

/* What is in the window at a moment. */
struct view {
    uint64_t at;   /* the moment, never before the last take */
    uint64_t head; /* < n_entries */
    uint64_t count;
    uint64_t used;
};

static jb_window_entry *entry(const struct jbi_window *window, uint64_t idx)
{
    return &window->log[idx % window->n_entries];
}

static struct view look(const struct jbi_window *window, uint64_t now_ns)
{
    const jb_window *w = window->w;
    struct view view = {
        .at = now_ns > w->last_ns ? now_ns : w->last_ns,
        .head = w->head % window->n_entries,
        .count = w->count < window->n_entries ? w->count : window->n_entries,
        .used = w->used,
    };

    while (view.count != 0) {
        const jb_window_entry *oldest = entry(window, view.head);

        if (oldest->amount != 0 && view.at - oldest->time_ns < w->period_ns)
            break;
        view.used -= oldest->amount;
        view.head = (view.head + 1) % window->n_entries;
        view.count--;
    }
    return view;
}

static uint64_t grain_of(uint64_t limit, uint64_t period_ns, uint64_t n_entries)
{
    uint64_t places = n_entries - 1;

    return n_entries >= limit ? 0 : period_ns / places + (period_ns % places != 0);
}

void jbi_window_init(const struct jbi_window *window, uint64_t limit, uint64_t period_ns)
{
    *window->w = (jb_window){.limit = limit,
                             .period_ns = period_ns,
                             .grain_ns = grain_of(limit, period_ns, window->n_entries),
                             .n_entries = (uint32_t)window->n_entries};
}

void jbi_window_limit(const struct jbi_window *window, uint64_t limit)
{
    jb_window *w = window->w;

    jbi_undo_set(window->undo, &w->limit, limit);
    jbi_undo_set(window->undo, &w->grain_ns, grain_of(limit, w->period_ns, window->n_entries));
}

int jbi_window_decide(const struct jbi_window *window, uint64_t n, uint64_t now_ns,
                      uint64_t *ret_retry_after_ns)
{
    const jb_window *w = window->w;
    struct view view = look(window, now_ns);
    uint64_t too_many, leaves_ns = view.at;

    if (n > w->limit)
        return JB_ETOOBIG;
    if (view.used <= w->limit - n)
        return 0;
    too_many = view.used - (w->limit - n);
    for (uint64_t i = 0; i < view.count; i++) {
        const jb_window_entry *e = entry(window, view.head + i);

        leaves_ns = e->time_ns + w->period_ns;
        if (e->amount >= too_many)
            break;
        too_many -= e->amount;
    }
    *ret_retry_after_ns = leaves_ns - now_ns;
    return JB_EAGAIN;
}

/* Does what is taken now go into the newest entry? */
static bool is_shared(const struct jbi_window *window, const struct view *view)
{
    const jb_window *w = window->w;
    const jb_window_entry *newest;

    if (view->count == 0)
        return false;
    newest = entry(window, view->head + view->count - 1);
    return newest->amount == 0 || newest->time_ns == view->at ||
           view->at - w->first_ns < w->grain_ns || view->count == window->n_entries;
}

void jbi_window_add(const struct jbi_window *window, uint64_t n, uint64_t now_ns)
{
    const struct jbi_undo *undo = window->undo;
    jb_window *w = window->w;
    struct view view = look(window, now_ns);
    jb_window_entry *newest;
    uint64_t sum;
    bool shared = is_shared(window, &view);

    if (__builtin_add_overflow(view.used, n, &sum)) {
        n = UINT64_MAX - view.used;
        sum = UINT64_MAX;
    }
    if (n == 0)
        return;
    newest = entry(window, view.head + view.count - shared);
    if (!shared || newest->amount == 0)
        jbi_undo_set(undo, &w->first_ns, view.at);
    jbi_undo_set(undo, &newest->amount, (shared ? newest->amount : 0) + n);
    jbi_undo_set(undo, &newest->time_ns, view.at);
    jbi_undo_set(undo, &w->head, view.head);
    jbi_undo_set(undo, &w->count, view.count + !shared);
    jbi_undo_set(undo, &w->used, sum);
    jbi_undo_set(undo, &w->last_ns, view.at);
}

/* The first entry whose newest unit was taken at that time or later. */
static jb_window_entry *find(const struct jbi_window *window, const struct view *view,
                             uint64_t taken_ns)
{
    uint64_t low = 0, high = view->count;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (entry(window, view->head + middle)->time_ns < taken_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < view->count ? entry(window, view->head + low) : NULL;
}

/* Units of the entry that holds them, or, after a clock that stood still, of an older one, which
 * leaves what is younger to count: never too few do. */
void jbi_window_give_back(const struct jbi_window *window, uint64_t n, uint64_t taken_ns,
                          uint64_t now_ns)
{
    struct view view = look(window, now_ns);
    jb_window_entry *e;

    if (taken_ns > view.at || view.at - taken_ns >= window->w->period_ns)
        return;
    e = find(window, &view, taken_ns);
    if (!e)
        return;
    if (n > e->amount)
        n = e->amount;
    jbi_undo_set(window->undo, &e->amount, e->amount - n);
    jbi_undo_set(window->undo, &window->w->used, window->w->used - n);
}

void jbi_window_state(const struct jbi_window *window, uint64_t now_ns, jb_rate_state *ret_state)
{
    const jb_window *w = window->w;
    struct view view = look(window, now_ns);

    *ret_state = (jb_rate_state){.limit = w->limit,
                                 .remaining = view.used < w->limit ? w->limit - view.used : 0};
    while (view.count != 0 && entry(window, view.head + view.count - 1)->amount == 0)
        view.count--;
    if (view.count != 0)
        ret_state->reset_after_ns =
            entry(window, view.head + view.count - 1)->time_ns + w->period_ns - now_ns;
}

bool jbi_window_entry_at(const struct jbi_window *window, uint64_t idx, uint64_t now_ns,
                         uint64_t *ret_age_ns, uint64_t *ret_amount)
{
    const jb_window *w = window->w;
    const jb_window_entry *e = entry(window, w->head % window->n_entries + idx);

    if (idx >= w->count || idx >= window->n_entries)
        return false;
    *ret_age_ns = now_ns > e->time_ns ? now_ns - e->time_ns : 0;
    *ret_amount = e->amount;
    return true;
}

static const struct jbi_undo not_logged;

static struct jbi_window of(const jb_window *w)
{
    jb_window *own = (jb_window *)(uintptr_t)w;

    return (struct jbi_window){.undo = &not_logged,
                               .w = own,
                               .log = (jb_window_entry *)(void *)(own + 1),
                               .n_entries = w->n_entries};
}

size_t jb_window_bytes(uint32_t n_entries)
{
    if (n_entries < 2)
        return 0;
    return sizeof(jb_window) + (size_t)n_entries * sizeof(jb_window_entry);
}

int jb_window_init(void *memory, size_t size_bytes, uint64_t limit, uint64_t period_ns,
                   jb_window **ret_window)
{
    struct jbi_window window = {.undo = &not_logged, .w = memory};

    if (!memory || !ret_window || size_bytes < jb_window_bytes(2) || limit == 0 || period_ns == 0 ||
        period_ns > JBI_WINDOW_PERIOD_MAX_NS)
        return JB_EINVAL;
    window.n_entries = (size_bytes - sizeof(jb_window)) / sizeof(jb_window_entry);
    if (window.n_entries > UINT32_MAX)
        window.n_entries = UINT32_MAX;
    jbi_window_init(&window, limit, period_ns);
    *ret_window = window.w;
    return 0;
}

int jb_window_set(jb_window *w, uint64_t limit)
{
    struct jbi_window window;

    if (!w || limit == 0)
        return JB_EINVAL;
    window = of(w);
    jbi_window_limit(&window, limit);
    return 0;
}

int jb_window_peek(const jb_window *w, uint64_t n, uint64_t now_ns, uint64_t *ret_retry_after_ns)
{
    struct jbi_window window;
    uint64_t retry_ns = 0;
    int rc;

    if (!w)
        return JB_EINVAL;
    if (n == 0)
        return 0;
    window = of(w);
    rc = jbi_window_decide(&window, n, now_ns, &retry_ns);
    if (rc == JB_EAGAIN && ret_retry_after_ns)
        *ret_retry_after_ns = retry_ns;
    return rc;
}

int jb_window_take(jb_window *w, uint64_t n, uint64_t now_ns, uint64_t *ret_retry_after_ns)
{
    int rc = jb_window_peek(w, n, now_ns, ret_retry_after_ns);

    if (rc == 0)
        jb_window_charge(w, n, now_ns);
    return rc;
}

void jb_window_refund(jb_window *w, uint64_t n, uint64_t taken_ns, uint64_t now_ns)
{
    struct jbi_window window = of(w);

    jbi_window_give_back(&window, n, taken_ns, now_ns);
}

void jb_window_charge(jb_window *w, uint64_t n, uint64_t now_ns)
{
    struct jbi_window window = of(w);

    jbi_window_add(&window, n, now_ns);
}

void jb_window_lower(jb_window *w, uint64_t remaining, uint64_t now_ns)
{
    jb_rate_state state;

    jb_window_get(w, now_ns, &state);
    if (state.remaining > remaining)
        jb_window_charge(w, state.remaining - remaining, now_ns);
}

void jb_window_get(const jb_window *w, uint64_t now_ns, jb_rate_state *ret_state)
{
    struct jbi_window window = of(w);

    jbi_window_state(&window, now_ns, ret_state);
}
