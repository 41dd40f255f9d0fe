/*
 * watch.c: see watch.h. One thread for each handle sleeps for all its watched subscriptions, the
 * way jb_sub_wait() sleeps for one: only the process that waits can write to its descriptor, while
 * the publisher may be any other.
 *
 * Invariant: a subscription is armed only while its sleeper's bit is set and it was found empty
 * after that, all under its lock, or while the thread rests and will do both; and the thread reads
 * the wake word before it looks at them. So a commit either is seen by that look, or changes the
 * word before the thread sleeps on it.
 */
#include "bus/watch.h"

#include "base/alloc.h"
#include "base/os.h"
#include "bus/scan.h"

/* The thread looks up by itself for claims whose owner has died, and for a publisher that died
 * between its commit and the call that wakes us. A look after silence waits as long as the silence
 * lasted, so that a bus on which nothing happens costs next to nothing. */
#define LOOK_UP_MIN_NS UINT64_C(50000000)
#define LOOK_UP_MAX_NS UINT64_C(1600000000)

/* A stream of unwanted events may outrun us. Then the thread comes back to it, and what was about
 * to be armed stays readable. */
enum { ROUNDS_MAX = 16 };

/* Events that nobody here wants wake the thread all the same. When it was woken in vain, and shortly
 * before too, it rests with nobody's bit set: a stream of such events costs its publishers one call
 * in each rest and not one each. What is wanted waits for the end of the rest. */
#define BUSY_NS     UINT64_C(1000000)
#define REST_MIN_NS UINT64_C(10000)
#define REST_MAX_NS UINT64_C(80000)

/* What a look at a watched subscription found; of several the greatest counts. */
enum look {
    LOOK_NOTHING, /* nothing new */
    LOOK_WANTED,  /* what its user wants */
    LOOK_VAIN,    /* only what he does not want */
    LOOK_AGAIN    /* unwanted events come faster than it looks */
};

struct jbi_watcher {
    pthread_mutex_t lock; /* of the list; taken before that of a watch */
    struct jbi_watch *first;
    _Atomic bool is_over;
    struct jbi_os_thread thread;
};

/* Until there is something to show (as jbi_sub_look()), or the sleeper's bit is set and there is
 * nothing: 0; or JB_EAGAIN when unwanted events come faster than we look. */
static int look_until_quiet(jb_sub *sub)
{
    struct jbi_ring *ring = &sub->bus->ring;

    for (int i = 0; i < ROUNDS_MAX; i++) {
        int rc = jbi_sub_look(sub);

        if (rc)
            return rc;
        if (jbi_ring_arm(ring, sub->idx, sub->cursor.position))
            return 0;
    }
    return JB_EAGAIN;
}

static void raise_fd(struct jbi_watch *watch)
{
    if (!watch->is_raised)
        jbi_os_event_raise(watch->fd);
    watch->is_raised = true;
}

static void disarm(struct jbi_watch *watch)
{
    jbi_ring_forget_sleeper(&watch->sub->bus->ring, watch->sub->idx);
    atomic_store_explicit(&watch->is_armed, false, memory_order_release);
}

void jbi_watch_pause(jb_sub *sub)
{
    struct jbi_watch *watch = sub->watch;

    if (!jbi_watch_is_armed(sub))
        return;
    pthread_mutex_lock(&watch->lock);
    if (atomic_load_explicit(&watch->is_armed, memory_order_relaxed))
        disarm(watch);
    pthread_mutex_unlock(&watch->lock);
}

int jbi_watch_settle(jb_sub *sub, int rc)
{
    struct jbi_watch *watch = sub->watch;

    if (rc) {
        raise_fd(watch);
        return rc;
    }
    if (watch->is_raised)
        jbi_os_event_clear(watch->fd);
    watch->is_raised = false;
    pthread_mutex_lock(&watch->lock);
    atomic_store_explicit(&watch->is_armed, true, memory_order_relaxed);
    if (look_until_quiet(sub)) {
        raise_fd(watch);
        disarm(watch);
    }
    pthread_mutex_unlock(&watch->lock);
    return 0;
}

/* The thread's look at one of them; is_rested: its bit is not set. After LOOK_AGAIN it should look
 * at once: not in here, since its user may be waiting for the lock. */
static enum look look(struct jbi_watch *watch, bool is_rested)
{
    jb_sub *sub = watch->sub;
    struct jbi_ring *ring = &sub->bus->ring;
    enum look seen = LOOK_NOTHING;

    pthread_mutex_lock(&watch->lock);
    if (atomic_load_explicit(&watch->is_armed, memory_order_relaxed)) {
        uint64_t position = sub->cursor.position;
        bool is_new;

        jbi_ring_unblock(ring, position);
        is_new = !jbi_mark_is_pending(ring, jbi_ring_mark_load(ring, position), position);
        if (is_new || is_rested) {
            int rc;

            /* While we look nobody needs to wake us. */
            jbi_ring_forget_sleeper(ring, sub->idx);
            rc = look_until_quiet(sub);
            seen = rc == JB_EAGAIN ? LOOK_AGAIN : rc ? LOOK_WANTED : is_new ? LOOK_VAIN : seen;
            if (seen == LOOK_WANTED) {
                raise_fd(watch);
                disarm(watch);
            }
        }
    }
    pthread_mutex_unlock(&watch->lock);
    return seen;
}

static enum look look_at_all(struct jbi_watcher *watcher, bool is_rested, bool *ret_idle)
{
    enum look most = LOOK_NOTHING;

    pthread_mutex_lock(&watcher->lock);
    for (struct jbi_watch *watch = watcher->first; watch; watch = watch->next) {
        enum look seen = look(watch, is_rested);

        most = seen > most ? seen : most;
    }
    *ret_idle = !watcher->first;
    pthread_mutex_unlock(&watcher->lock);
    return most;
}

/* Nobody wakes us for a while, but for who asks the word to change. */
static void rest(jb_bus *bus, uint32_t word, uint64_t rest_ns)
{
    pthread_mutex_lock(&bus->watcher->lock);
    for (struct jbi_watch *watch = bus->watcher->first; watch; watch = watch->next) {
        pthread_mutex_lock(&watch->lock);
        if (atomic_load_explicit(&watch->is_armed, memory_order_relaxed))
            jbi_ring_forget_sleeper(&bus->ring, watch->sub->idx);
        pthread_mutex_unlock(&watch->lock);
    }
    pthread_mutex_unlock(&bus->watcher->lock);
    jbi_ring_sleep_on(&bus->ring, word, rest_ns);
}

/* How long to rest when the next event comes soon, after that look. */
static uint64_t next_rest(uint64_t rest_ns, enum look seen)
{
    if (seen < LOOK_VAIN)
        return 0;
    if (rest_ns == 0)
        return REST_MIN_NS;
    return rest_ns * 2 < REST_MAX_NS ? rest_ns * 2 : REST_MAX_NS;
}

static void *watch_all(void *userdata)
{
    jb_bus *bus = userdata;
    struct jbi_watcher *watcher = bus->watcher;
    uint64_t look_up_ns = LOOK_UP_MIN_NS, rest_ns = 0, woken_ns = 0;
    uint32_t last_word = jbi_ring_wake_word(&bus->ring);

    for (;;) {
        uint32_t word = jbi_ring_wake_word(&bus->ring);
        bool is_woken = word != last_word, is_rested = false, is_idle;
        enum look seen;

        if (is_woken) {
            uint64_t now_ns = jbi_os_monotonic_ns();

            look_up_ns = LOOK_UP_MIN_NS;
            is_rested = rest_ns != 0 && now_ns - woken_ns < BUSY_NS;
            if (is_rested)
                rest(bus, word, rest_ns);
            woken_ns = now_ns;
            word = jbi_ring_wake_word(&bus->ring);
        } else if (look_up_ns < LOOK_UP_MAX_NS) {
            look_up_ns *= 2;
        }
        last_word = word;
        if (atomic_load_explicit(&watcher->is_over, memory_order_acquire))
            return NULL;
        seen = look_at_all(watcher, is_rested, &is_idle);
        rest_ns = next_rest(rest_ns, seen);
        if (seen != LOOK_AGAIN)
            jbi_ring_sleep_on(&bus->ring, word, is_idle ? UINT64_MAX : look_up_ns);
    }
}

static int watcher_start(jb_bus *bus)
{
    struct jbi_watcher *watcher = jbi_alloc_zeroed(&bus->alloc, sizeof *watcher);

    if (!watcher)
        return JB_ENOMEM;
    pthread_mutex_init(&watcher->lock, NULL);
    bus->watcher = watcher;
    if (jbi_os_thread_start(watch_all, bus, "jimbot-watch", &watcher->thread) == 0)
        return 0;
    bus->watcher = NULL;
    pthread_mutex_destroy(&watcher->lock);
    jbi_alloc_free(&bus->alloc, watcher, sizeof *watcher);
    return JB_ESYS;
}

void jbi_watcher_stop(jb_bus *bus)
{
    struct jbi_watcher *watcher = bus->watcher;

    if (!watcher)
        return;
    /* In a child the thread does not exist, and the lock may be as it was left. */
    if (jbi_bus_is_usable(bus)) {
        atomic_store_explicit(&watcher->is_over, true, memory_order_release);
        jbi_ring_wake_sleepers(&bus->ring);
        jbi_os_thread_join(&watcher->thread);
        pthread_mutex_destroy(&watcher->lock);
    }
    bus->watcher = NULL;
    jbi_alloc_free(&bus->alloc, watcher, sizeof *watcher);
}

static int watcher_ensure(jb_bus *bus)
{
    int rc = 0;

    pthread_mutex_lock(&bus->watcher_lock);
    if (!bus->watcher)
        rc = watcher_start(bus);
    pthread_mutex_unlock(&bus->watcher_lock);
    return rc;
}

static void enlist(struct jbi_watcher *watcher, struct jbi_watch *watch)
{
    bool is_first;

    pthread_mutex_lock(&watcher->lock);
    is_first = !watcher->first;
    watch->next = watcher->first;
    watcher->first = watch;
    pthread_mutex_unlock(&watcher->lock);
    /* With nobody to look after, the thread sleeps for ever. */
    if (is_first)
        jbi_ring_wake_sleepers(&watch->sub->bus->ring);
}

static void delist(struct jbi_watcher *watcher, const struct jbi_watch *watch)
{
    pthread_mutex_lock(&watcher->lock);
    for (struct jbi_watch **at = &watcher->first; *at; at = &(*at)->next) {
        if (*at == watch) {
            *at = watch->next;
            break;
        }
    }
    pthread_mutex_unlock(&watcher->lock);
}

static int watch_open(jb_sub *sub)
{
    jb_bus *bus = sub->bus;
    int rc = watcher_ensure(bus);
    struct jbi_watch *watch = rc ? NULL : jbi_alloc_zeroed(&bus->alloc, sizeof *watch);

    if (!watch)
        return rc ? rc : JB_ENOMEM;
    if (jbi_os_event_create(&watch->fd)) {
        jbi_alloc_free(&bus->alloc, watch, sizeof *watch);
        return JB_ESYS;
    }
    pthread_mutex_init(&watch->lock, NULL);
    watch->sub = sub;
    sub->watch = watch;
    enlist(bus->watcher, watch);
    jbi_watch_settle(sub, sub->n_shown ? 1 : 0);
    return 0;
}

void jbi_watch_close(jb_sub *sub)
{
    struct jbi_watch *watch = sub->watch;

    if (!watch)
        return;
    if (jbi_bus_is_usable(sub->bus)) {
        delist(sub->bus->watcher, watch);
        raise_fd(watch);
        pthread_mutex_destroy(&watch->lock);
    }
    jbi_os_file_close(watch->fd);
    jbi_alloc_free(&sub->bus->alloc, watch, sizeof *watch);
    sub->watch = NULL;
}

int jb_sub_fd(jb_sub *sub, int *ret_fd)
{
    int rc = 0;

    if (!sub || !ret_fd)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(sub->bus))
        return JB_ESTATE;
    if (!sub->watch)
        rc = watch_open(sub);
    if (!rc)
        *ret_fd = sub->watch->fd;
    return rc;
}
