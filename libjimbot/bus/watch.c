/*
 * watch.c: see watch.h. One thread for each handle sleeps for all its watched subscriptions, the
 * way jb_sub_wait() sleeps for one: only the process that waits can write to its descriptor, while
 * the publisher may be any other.
 *
 * Publishers do not know who wants what, so each event would wake the thread for every armed
 * subscription, a system call and a switch apiece. So one that was woken for nothing rests: its bit
 * stays clear and the thread comes back by the clock, until it finds that events have ceased.
 *
 * Invariant: a subscription is armed only while its sleeper's bit is set and it was found empty
 * after that, all under its lock, or while it rests and the thread sleeps no longer than a rest;
 * and the thread reads the wake word before it looks at them. So a commit either is seen by that
 * look, or changes the word before the thread sleeps on it, or is seen after the rest.
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

/* A rest, the first and the longest: how late a wanted event among unwanted ones may be found. */
#define REST_MIN_NS UINT64_C(100000)
#define REST_MAX_NS UINT64_C(400000)

/* A stream of unwanted events may outrun us. Then the thread comes back to it, and what was about
 * to be armed stays readable. */
enum { ROUNDS_MAX = 16 };

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
    watch->is_resting = false;
    if (look_until_quiet(sub)) {
        raise_fd(watch);
        disarm(watch);
    }
    pthread_mutex_unlock(&watch->lock);
    return 0;
}

/* What the thread may do after a look. */
enum pace { PACE_SLEEP, PACE_REST, PACE_AGAIN };

static void show(struct jbi_watch *watch)
{
    raise_fd(watch);
    disarm(watch);
}

/* Pass over what nobody wants of it. While we look, and rest, nobody needs to wake us. */
static enum pace pass_over(struct jbi_watch *watch)
{
    jb_sub *sub = watch->sub;
    struct jbi_ring *ring = &sub->bus->ring;
    uint64_t position = sub->cursor.position;

    jbi_ring_forget_sleeper(ring, sub->idx);
    watch->is_resting = true;
    if (jbi_sub_look(sub)) {
        show(watch);
        return PACE_SLEEP;
    }
    /* A rest must not let the ring run full behind one that holds publishers back. */
    return sub->cursor.position - position > ring->capacity_bytes / 8 ? PACE_AGAIN : PACE_REST;
}

/* Events have ceased: let publishers wake us again. */
static enum pace end_rest(struct jbi_watch *watch)
{
    int rc = look_until_quiet(watch->sub);

    watch->is_resting = rc == JB_EAGAIN;
    if (rc && rc != JB_EAGAIN)
        show(watch);
    return rc == JB_EAGAIN ? PACE_REST : PACE_SLEEP;
}

/* The thread's look at one of them. It looks again by itself, not in here, since its user may be
 * waiting for the lock. */
static enum pace look(struct jbi_watch *watch, bool has_rested)
{
    struct jbi_ring *ring = &watch->sub->bus->ring;
    uint64_t position;
    enum pace pace = PACE_SLEEP;

    pthread_mutex_lock(&watch->lock);
    if (atomic_load_explicit(&watch->is_armed, memory_order_relaxed)) {
        position = watch->sub->cursor.position;
        jbi_ring_unblock(ring, position);
        if (!jbi_mark_is_pending(ring, jbi_ring_mark_load(ring, position), position))
            pace = pass_over(watch);
        else if (watch->is_resting)
            pace = has_rested ? end_rest(watch) : PACE_REST;
    }
    pthread_mutex_unlock(&watch->lock);
    return pace;
}

/* How long the thread may sleep when nobody wakes it. */
struct patience {
    uint64_t look_up_ns;
    uint64_t rest_ns;
    uint32_t word; /* the wake word at the last look */
};

static uint64_t sleep_ns(struct patience *p, enum pace pace, uint32_t word)
{
    uint64_t rest_ns = p->rest_ns;

    if (word != p->word || pace == PACE_REST)
        p->look_up_ns = LOOK_UP_MIN_NS;
    else if (p->look_up_ns < LOOK_UP_MAX_NS)
        p->look_up_ns *= 2;
    p->word = word;
    if (pace != PACE_REST)
        p->rest_ns = REST_MIN_NS;
    else if (p->rest_ns < REST_MAX_NS)
        p->rest_ns *= 2;
    return pace == PACE_REST ? rest_ns : p->look_up_ns;
}

static void *watch_all(void *userdata)
{
    jb_bus *bus = userdata;
    struct jbi_watcher *watcher = bus->watcher;
    enum pace pace = PACE_SLEEP;
    struct patience patience = {LOOK_UP_MIN_NS, REST_MIN_NS, jbi_ring_wake_word(&bus->ring)};

    for (;;) {
        uint32_t word = jbi_ring_wake_word(&bus->ring);
        bool has_rested = pace == PACE_REST, is_idle;
        uint64_t timeout_ns;

        if (atomic_load_explicit(&watcher->is_over, memory_order_acquire))
            return NULL;
        pace = PACE_SLEEP;
        pthread_mutex_lock(&watcher->lock);
        for (struct jbi_watch *watch = watcher->first; watch; watch = watch->next) {
            enum pace its_pace = look(watch, has_rested);

            pace = its_pace > pace ? its_pace : pace;
        }
        is_idle = !watcher->first;
        pthread_mutex_unlock(&watcher->lock);
        timeout_ns = sleep_ns(&patience, pace, word);
        if (pace != PACE_AGAIN)
            jbi_ring_sleep_on(&bus->ring, word, is_idle ? UINT64_MAX : timeout_ns);
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
