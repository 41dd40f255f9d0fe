/*
 * open.c: handles on a bus: created, attached, closed.
 *
 * Invariant: joining, leaving and removing happen under the segment's one lock, so whoever removes
 * the name robs nobody who is just coming in: a newcomer checks, under the lock, that the name
 * still leads to the file.
 *
 * A bus ends with its last peer, whether that one closes it or dies. What is left of one that ended
 * in a crash counts as absent, and is replaced by who creates a bus.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "bus/group.h"
#include "bus/watch.h"
#include "shm/remains.h"

#include <errno.h>
#include <string.h>

#define OPEN_TRIES 64

void jb_bus_opts_init(jb_bus_opts *opts, uint32_t size)
{
    const jb_bus_opts defaults = {
        .size = sizeof defaults,
        .capacity_bytes = UINT64_C(32) << 20,
        .max_topics = 4096,
        .max_subs = 64,
        .max_peers = 64,
        .max_groups = 8,
        .mode = 0600,
    };

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_bus_opts *given, jb_bus_opts *ret_opts, jb_error *err)
{
    jb_bus_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_bus_opts.size is %u: start from jb_bus_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->flags & ~(uint32_t)JB_BUS_KEEP)
        return jbi_error_set(err, JB_EINVAL, "jb_bus_opts.flags has unknown bits: 0x%x",
                             ret_opts->flags);
    if (ret_opts->mode & ~(uint32_t)0777)
        return jbi_error_set(err, JB_EINVAL, "jb_bus_opts.mode is not a file mode: 0%o",
                             ret_opts->mode);
    if (!jbi_alloc_is_valid(ret_opts->alloc))
        return jbi_error_set(err, JB_EINVAL, "jb_bus_opts.alloc lacks a function");
    return 0;
}

static struct jbi_segment_plan plan_from_opts(const jb_bus_opts *opts)
{
    struct jbi_segment_plan plan = {
        .params[JBI_PARAM_CAPACITY] = opts->capacity_bytes,
        .params[JBI_PARAM_TOPICS] = opts->max_topics,
        .params[JBI_PARAM_SUBS] = opts->max_subs,
        .params[JBI_PARAM_PEERS] = opts->max_peers,
        .params[JBI_PARAM_STALL_NS] = opts->stall_after_ns,
        .params[JBI_PARAM_GROUPS] = opts->max_groups,
        .fingerprint = jbi_geometry_fingerprint(),
        .size_fn = jbi_geometry_bytes,
        .flags = opts->flags & JB_BUS_KEEP ? JBI_SEGMENT_KEEP : 0,
        .mode = opts->mode,
    };

    return plan;
}

static void bury(uint32_t peer, void *userdata)
{
    jb_bus *bus = userdata;
    struct jbi_peer_slot *slot = jbi_peer_slot_get(&bus->peers, peer);
    uint32_t n_aborted;

    /* What we take from the dead is ours for a moment: who dies then is to be found as its
     * owner. */
    bus->ring.owner = bus->peer;
    n_aborted = jbi_ring_abort_all(&bus->ring, peer);
    atomic_fetch_add_explicit(&slot->n_aborted, n_aborted, memory_order_relaxed);
    jbi_subs_bury(bus, peer, true);
    jbi_groups_bury(bus, peer);
    jbi_log(JB_LOG_INFO, "peer %u of %s died; %u open claims aborted", peer, bus->segment.path,
            n_aborted);
}

static void cache_fini(jb_bus *bus)
{
    jbi_alloc_free(&bus->alloc, bus->cache.names,
                   (size_t)bus->max_topics * sizeof *bus->cache.names);
    jbi_alloc_free(&bus->alloc, (void *)bus->cache.lengths, bus->max_topics);
}

static int cache_init(jb_bus *bus)
{
    bus->cache.names =
        bus->alloc.alloc((size_t)bus->max_topics * sizeof *bus->cache.names, bus->alloc.ctx);
    bus->cache.lengths = jbi_alloc_zeroed(&bus->alloc, bus->max_topics);
    if (bus->cache.names && bus->cache.lengths)
        return 0;
    cache_fini(bus);
    return JB_ENOMEM;
}

/* Everything between a mapped segment and a usable handle, except the lock and the name. */
static int bus_join(jb_bus *bus, const jb_bus_opts *opts, bool is_creator, jb_error *err)
{
    int rc;

    jbi_geometry_place(bus);
    bus->budget.limit_bytes = opts->budget_bytes;
    if (is_creator)
        jbi_ring_format(&bus->ring);
    if (!bus->ring.has_barrier)
        atomic_store_explicit(&bus->ring.control->has_outsiders, 1, memory_order_seq_cst);
    rc = cache_init(bus);
    if (rc)
        return jbi_error_set(err, rc, "no memory for the topic names of a bus");
    rc = jbi_peer_join(&bus->peers, opts->peer_name, bury, bus, &bus->peer, err);
    if (!rc) {
        /* One who died with a claim open, or as a lossless reader, holds nobody back from here on,
         * and the statistics speak of the living. */
        jbi_peer_bury_dead(&bus->peers, bus->peer, bury, bus);
        bus->ring.owner = bus->peer;
        /* Of microseconds: they go by faster than anybody asks, so who has a peer number next
         * begins behind what its last owner used. */
        bus->next_request = (uint32_t)(jbi_os_monotonic_ns() / 1000);
        bus->self = jbi_peer_slot_get(&bus->peers, bus->peer);
        rc = jbi_fork_guard_add(&bus->guard, &bus->segment);
        if (rc) {
            jbi_peer_leave(&bus->peers, bus->peer);
            rc = jbi_error_os(err, JB_ESYS, rc, "cannot watch for fork()");
        }
    }
    if (rc)
        cache_fini(bus);
    return rc;
}

static void bus_leave(jb_bus *bus)
{
    jbi_fork_guard_remove(&bus->guard);
    jbi_peer_leave(&bus->peers, bus->peer);
    cache_fini(bus);
}

enum open_how { OPEN_CREATE = 1, OPEN_ATTACH = 2 };

static int bus_create(jb_bus *bus, const char *path, const jb_bus_opts *opts, jb_error *err)
{
    struct jbi_segment_plan plan = plan_from_opts(opts);
    int rc = jbi_segment_create(path, &plan, &bus->segment, err);

    if (rc)
        return rc;
    rc = bus_join(bus, opts, true, err);
    if (!rc) {
        rc = jbi_segment_publish(&bus->segment, err);
        if (rc)
            bus_leave(bus);
    }
    if (rc)
        jbi_segment_close(&bus->segment);
    return rc;
}

/* What the name leads to is open and locked: join it, or JB_ENOENT if there is no bus any more. */
static int bus_enter(jb_bus *bus, int how, const jb_bus_opts *opts, jb_error *err)
{
    const struct jbi_segment *segment = &bus->segment;
    int rc;

    if (!jbi_segment_is_named(segment))
        return jbi_error_set(err, JB_ENOENT, "%s was removed while we opened it", segment->path);
    if (jbi_segment_is_over(segment)) {
        rc = how & OPEN_CREATE ? jbi_segment_remove(segment->path, err) : 0;
        return rc ? rc
                  : jbi_error_set(err, JB_ENOENT, "%s has ended: all who had it open died",
                                  segment->path);
    }
    rc = jbi_segment_verify(segment, jbi_geometry_fingerprint(), jbi_geometry_bytes, err);
    if (!rc)
        rc = jbi_segment_map(&bus->segment, err);
    return rc ? rc : bus_join(bus, opts, false, err);
}

/* must_be_own: a name stands for a file of this user. Anyone can make one of that name where the
 * folder is for all. */
static int bus_attach(jb_bus *bus, const char *path, int how, bool must_be_own,
                      const jb_bus_opts *opts, jb_error *err)
{
    int rc = jbi_segment_find(path, false, &bus->segment, err);

    if (rc)
        return rc;
    if (must_be_own && !bus->segment.id.is_own) {
        rc = jbi_error_set(err, JB_EPERM, "%s belongs to another user", path);
        goto out_close;
    }
    rc = jbi_segment_lock(&bus->segment, err);
    if (rc)
        goto out_close;
    rc = bus_enter(bus, how, opts, err);
    jbi_segment_unlock(&bus->segment);
    if (!rc)
        return 0;

out_close:
    jbi_segment_close(&bus->segment);
    return rc;
}

static int bus_open(const char *name, const jb_bus_opts *given, int how, jb_bus **ret_bus,
                    jb_error *err)
{
    char path[JBI_PATH_BYTES];
    jb_bus_opts opts;
    jb_error last = {0};
    jb_alloc alloc;
    jb_bus *bus;
    int rc;

    if (!ret_bus)
        return jbi_error_set(err, JB_EINVAL, "ret_bus is NULL");
    rc = opts_take(given, &opts, err);
    if (!rc)
        rc = jbi_segment_path(name, path, err);
    if (!rc && !path[0] && !(how & OPEN_CREATE))
        rc = jbi_error_set(err, JB_EINVAL, "an anonymous bus cannot be attached to");
    if (rc)
        return rc;
    alloc = jbi_alloc_or_default(opts.alloc);
    bus = jbi_alloc_zeroed(&alloc, sizeof *bus);
    if (!bus)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a bus handle");
    bus->alloc = alloc;
    /* Both ask the system once, the second for milliseconds where threads run: now, not on a game
     * thread, and before others wait for us. */
    (void)jbi_clock_event_ns();
    bus->ring.has_barrier = jbi_os_barrier_join();
    pthread_mutex_init(&bus->watcher_lock, NULL);
    if (!(how & OPEN_ATTACH) && path[0])
        jbi_remains_bury(path);
    /* Somebody may create or remove the name between our two looks; then look again. The caller
     * hears of the last failure alone, and of none if there is no last one. */
    for (int i = 0; i < OPEN_TRIES; i++) {
        rc = (how & OPEN_ATTACH) && path[0]
                 ? bus_attach(bus, path, how, jbi_segment_is_name(name), &opts, &last)
                 : JB_ENOENT;
        if (rc == JB_ENOENT && (how & OPEN_CREATE)) {
            if (i == 0 && path[0] && jbi_segment_is_name(name))
                jbi_remains_sweep(path);
            rc = bus_create(bus, path, &opts, &last);
        }
        if (rc != JB_EEXIST || !(how & OPEN_ATTACH))
            break;
    }
    if (rc) {
        pthread_mutex_destroy(&bus->watcher_lock);
        jbi_alloc_free(&alloc, bus, sizeof *bus);
        if (err)
            *err = last;
        return rc;
    }
    if (jbi_has_notices(bus))
        jbi_notices_publish(bus);
    *ret_bus = bus;
    return 0;
}

int jb_bus_open(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus, jb_error *err)
{
    return bus_open(name, opts, OPEN_CREATE | OPEN_ATTACH, ret_bus, err);
}

int jb_bus_create(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus, jb_error *err)
{
    return bus_open(name, opts, OPEN_CREATE, ret_bus, err);
}

int jb_bus_attach(const char *name, const jb_bus_opts *opts, jb_bus **ret_bus, jb_error *err)
{
    return bus_open(name, opts, OPEN_ATTACH, ret_bus, err);
}

static void leave_segment(jb_bus *bus)
{
    const struct jbi_segment *segment = &bus->segment;
    bool is_locked = jbi_segment_lock(segment, NULL) == 0;

    /* Counting open claims would cost every publisher two locked instructions; looking at the marks
     * costs us a millisecond or so. */
    atomic_fetch_add_explicit(&bus->self->n_aborted, jbi_ring_abort_all(&bus->ring, bus->peer),
                              memory_order_relaxed);
    jbi_subs_bury(bus, bus->peer, false);
    jbi_groups_bury(bus, bus->peer);
    bus_leave(bus);
    if (is_locked && segment->path[0] && jbi_segment_is_over(segment) &&
        jbi_segment_is_named(segment))
        (void)jbi_segment_remove(segment->path, NULL);
    if (is_locked)
        jbi_segment_unlock(segment);
}

void jb_bus_close(jb_bus *bus)
{
    jb_alloc alloc;

    if (!bus)
        return;
    jbi_watcher_stop(bus);
    if (jbi_bus_is_usable(bus))
        leave_segment(bus);
    else
        cache_fini(bus);
    jbi_segment_close(&bus->segment);
    alloc = bus->alloc;
    jbi_alloc_free(&alloc, bus, sizeof *bus);
}

int jb_bus_unlink(const char *name, jb_error *err)
{
    char path[JBI_PATH_BYTES];
    int rc =
        name ? jbi_segment_path(name, path, err) : jbi_error_set(err, JB_EINVAL, "name is NULL");

    return rc ? rc : jbi_segment_unlink(path, jbi_segment_is_name(name), err);
}
