/*
 * coord_open.c: handles on a coordinator: made for one process, or found by name; closed.
 *
 * Invariant: joining, leaving and burying happen under the segment's one lock, as for a bus. A
 * named coordinator outlives everybody who has it open, so that a restart finds leases that are
 * held from afar, limits and tokens; who died is buried by the next one who looks.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "quota/config.h"
#include "quota/coord.h"
#include "quota/limits.h"

#include <string.h>

#define OPEN_TRIES 64
#define FAMILY     "jimbot-quota"

static uint64_t own_clock(void *userdata)
{
    (void)userdata;
    return jb_clock_now_ns();
}

static uint64_t fingerprint(void)
{
    static const uint64_t facts[] = {
        sizeof(struct jbi_segment_header),
        sizeof(struct jbi_peer_slot),
        sizeof(struct jbi_quota_head),
        sizeof(struct jbi_quota_resource),
        sizeof(struct jbi_quota_component),
        sizeof(struct jbi_quota_share),
        sizeof(struct jbi_quota_lease),
        sizeof(struct jbi_quota_waiter),
        sizeof(struct jbi_quota_flow),
        sizeof(struct jbi_quota_record),
        sizeof(struct jbi_undo_log),
        sizeof(struct jbi_limits_head),
        sizeof(struct jbi_limit),
        sizeof(struct jbi_reservation),
        sizeof(struct jbi_rate_waiter),
        sizeof(struct jbi_rate_tags),
        offsetof(struct jbi_limit, gcra),
        offsetof(struct jbi_quota_resource, allocated),
        offsetof(struct jbi_quota_component, n_ended),
        JBI_QUOTA_LAYOUT,
    };
    uint64_t hash = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        hash = (hash ^ facts[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t peers_bytes(const uint64_t params[JBI_SEGMENT_PARAMS])
{
    return params[JBI_QUOTA_PEERS] * sizeof(struct jbi_peer_slot);
}

static uint64_t segment_bytes(const uint64_t params[JBI_SEGMENT_PARAMS])
{
    uint64_t n_peers = params[JBI_QUOTA_PEERS];
    uint64_t bytes = jbi_books_bytes(params);

    if (bytes == 0 || n_peers < 1 || n_peers > JBI_PEERS_MAX)
        return 0;
    return JBI_SEGMENT_HEADER_BYTES + peers_bytes(params) + bytes;
}

static int open_alone(jb_coord *coord, const jb_coord_opts *opts, jb_error *err)
{
    uint64_t params[JBI_SEGMENT_PARAMS];
    int rc;

    jbi_config_params(opts, params);
    coord->block_bytes = jbi_books_bytes(params);
    coord->block = jbi_alloc_zeroed(&coord->alloc, (size_t)coord->block_bytes);
    if (!coord->block)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a coordinator");
    rc = jbi_fork_guard_add(&coord->guard, NULL);
    if (rc) {
        jbi_alloc_free(&coord->alloc, coord->block, (size_t)coord->block_bytes);
        return jbi_error_os(err, JB_ESYS, rc, "cannot watch for fork()");
    }
    jbi_books_place(&coord->books, coord->block, params, false);
    jbi_books_format(&coord->books, opts, jb_clock_utc_ns());
    coord->books.peer = 1;
    coord->lock.word = &coord->books.head->lock;
    coord->lock.self = 1;
    return 0;
}

/* End what a handle had: one that died, or one that is being closed. The caller is inside. */
static uint32_t end_all_of(jb_coord *coord, uint32_t peer, uint32_t how)
{
    struct jbi_books *books = &coord->books;
    uint32_t n_ended = 0;

    for (uint32_t slot = 0; slot < books->n_leases && slot < books->head->top_lease; slot++) {
        if (books->leases[slot].token != 0 && jbi_who_peer(books->leases[slot].who) == peer) {
            jbi_books_end(books, slot, how);
            n_ended++;
        }
    }
    for (uint32_t slot = 0; slot < books->n_waiters && slot < books->head->top_waiter; slot++) {
        if (books->waiters[slot].state != JBI_WAITER_FREE && books->waiters[slot].asker == peer)
            n_ended += jbi_queue_cancel(books, slot, how);
    }
    jbi_limits_bury(books, peer);
    return n_ended;
}

/* What is done for the dead. */
struct burial {
    jb_coord *coord;
    uint32_t n_dead;
    uint32_t n_ended; /* leases, also those that expired meanwhile */
};

/* The caller has the segment's lock. A number of our own is that of who had it before. */
static void bury(uint32_t peer, void *userdata)
{
    struct burial *burial = userdata;
    jb_coord *coord = burial->coord;
    bool is_first = coord->lock.self == 0 || peer == coord->books.peer;

    /* While it joins; later other threads read it. */
    if (coord->lock.self == 0)
        coord->lock.self = coord->books.peer;
    jbi_coord_enter_locked(coord, is_first);
    burial->n_ended += coord->n_ended + end_all_of(coord, peer, JB_LEASE_HOLDER_DIED);
    jbi_coord_leave(coord);
    burial->n_dead++;
    jbi_log(JB_LOG_INFO, "peer %u of %s died; its leases ended", peer, coord->segment.path);
}

/* The caller has both locks. Nothing is logged: he may be drawing a frame. */
static void bury_quietly(uint32_t peer, void *userdata)
{
    struct burial *burial = userdata;

    burial->n_ended += end_all_of(burial->coord, peer, JB_LEASE_HOLDER_DIED);
    burial->n_dead++;
}

/* Everything between a mapped segment and a usable handle, except the lock and the name. */
static int coord_join(jb_coord *coord, const jb_coord_opts *opts, bool is_creator, jb_error *err)
{
    const uint64_t *params = coord->segment.header.params;
    uint8_t *base = coord->segment.base + JBI_SEGMENT_HEADER_BYTES;
    struct burial burial = {.coord = coord};
    int rc;

    coord->peers = (struct jbi_peers){.segment = &coord->segment,
                                      .slots = (void *)base,
                                      .n_slots = (uint32_t)params[JBI_QUOTA_PEERS]};
    jbi_books_place(&coord->books, base + peers_bytes(params), params, true);
    coord->lock.word = &coord->books.head->lock;
    coord->lock.peers = &coord->peers;
    if (is_creator)
        jbi_books_format(&coord->books, opts, jb_clock_utc_ns());
    else if (opts->n_resources > 0 && !jbi_config_is_same(&coord->books, opts))
        return jbi_error_set(err, JB_ESTATE,
                             "%s was made with other resources or components: use those, or "
                             "unlink it",
                             coord->segment.path);
    rc = jbi_peer_join(&coord->peers, opts->peer_name, bury, &burial, &coord->books.peer, err);
    if (rc)
        return rc;
    coord->lock.self = coord->books.peer;
    jbi_coord_enter_locked(coord, true);
    jbi_coord_leave(coord);
    jbi_peer_bury_dead(&coord->peers, coord->books.peer, bury, &burial);
    rc = jbi_fork_guard_add(&coord->guard, &coord->segment);
    if (rc) {
        jbi_peer_leave(&coord->peers, coord->books.peer);
        return jbi_error_os(err, JB_ESYS, rc, "cannot watch for fork()");
    }
    return 0;
}

static int coord_create(jb_coord *coord, const char *path, const jb_coord_opts *opts, jb_error *err)
{
    struct jbi_segment_plan plan = {
        .fingerprint = fingerprint(),
        .size_fn = segment_bytes,
        .flags = JBI_SEGMENT_KEEP,
        .mode = opts->mode,
    };
    int rc;

    jbi_config_params(opts, plan.params);
    rc = jbi_config_check(opts, err);
    if (!rc)
        rc = jbi_segment_create(path, &plan, &coord->segment, err);
    if (rc)
        return rc;
    rc = coord_join(coord, opts, true, err);
    if (!rc) {
        rc = jbi_segment_publish(&coord->segment, err);
        if (rc) {
            jbi_fork_guard_remove(&coord->guard);
            jbi_peer_leave(&coord->peers, coord->books.peer);
        }
    }
    if (rc)
        jbi_segment_close(&coord->segment);
    return rc;
}

/* What the name leads to is open and locked: join it, or JB_ENOENT if it is over. */
static int coord_enter_segment(jb_coord *coord, const jb_coord_opts *opts, jb_error *err)
{
    const struct jbi_segment *segment = &coord->segment;
    int rc;

    if (!jbi_segment_is_named(segment))
        return jbi_error_set(err, JB_ENOENT, "%s was removed while we opened it", segment->path);
    if (jbi_segment_is_over(segment)) {
        rc = jbi_segment_remove(segment->path, err);
        return rc ? rc
                  : jbi_error_set(err, JB_ENOENT, "%s is from before the machine was started anew",
                                  segment->path);
    }
    rc = jbi_segment_verify(segment, fingerprint(), segment_bytes, err);
    if (!rc)
        rc = jbi_segment_map(&coord->segment, err);
    return rc ? rc : coord_join(coord, opts, false, err);
}

static int coord_attach(jb_coord *coord, const char *path, bool must_be_own,
                        const jb_coord_opts *opts, jb_error *err)
{
    int rc = jbi_segment_find(path, false, &coord->segment, err);

    if (rc)
        return rc;
    if (must_be_own && !coord->segment.id.is_own)
        rc = jbi_error_set(err, JB_EPERM, "%s belongs to another user", path);
    if (!rc)
        rc = jbi_segment_lock(&coord->segment, err);
    if (!rc) {
        rc = coord_enter_segment(coord, opts, err);
        jbi_segment_unlock(&coord->segment);
    }
    if (rc)
        jbi_segment_close(&coord->segment);
    return rc;
}

/* Somebody may create or remove the name between our two looks; then look again. */
static int open_shared(jb_coord *coord, const char *name, const jb_coord_opts *opts, jb_error *err)
{
    char path[JBI_PATH_BYTES];
    int rc = jbi_segment_path_of(FAMILY, name, path, err);

    if (rc)
        return rc;
    coord->is_shared = true;
    for (int i = 0; i < OPEN_TRIES; i++) {
        coord->lock.self = 0;
        rc = coord_attach(coord, path, jbi_segment_is_name(name), opts, err);
        if (rc == JB_ENOENT && opts->n_resources > 0) {
            rc = coord_create(coord, path, opts, err);
            if (rc == JB_ENOENT)
                return rc;
        } else if (rc == JB_ENOENT) {
            return rc;
        }
        if (rc != JB_EEXIST)
            break;
    }
    return rc;
}

int jb_coord_open(const char *name, const jb_coord_opts *given, jb_coord **ret_coord, jb_error *err)
{
    jb_coord_opts opts;
    jb_error last = {0};
    jb_coord *coord;
    jb_alloc alloc;
    int rc;

    if (!ret_coord)
        return jbi_error_set(err, JB_EINVAL, "ret_coord is NULL");
    rc = jbi_config_take(given, &opts, err);
    if (!rc && (!name || opts.n_resources > 0))
        rc = jbi_config_check(&opts, err);
    if (rc)
        return rc;
    alloc = jbi_alloc_or_default(opts.alloc);
    coord = jbi_alloc_zeroed(&alloc, sizeof *coord);
    if (!coord)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a coordinator");
    coord->alloc = alloc;
    coord->clock = opts.clock ? opts.clock : own_clock;
    coord->clock_userdata = opts.clock_userdata;
    rc = name ? open_shared(coord, name, &opts, &last) : open_alone(coord, &opts, &last);
    if (rc) {
        jbi_alloc_free(&alloc, coord, sizeof *coord);
        if (err)
            *err = last;
        return rc;
    }
    *ret_coord = coord;
    return 0;
}

static void leave_segment(jb_coord *coord)
{
    bool is_locked = jbi_segment_lock(&coord->segment, NULL) == 0;

    if (is_locked)
        jbi_coord_enter_locked(coord, false);
    if (is_locked || jbi_coord_enter(coord) == 0) {
        (void)end_all_of(coord, coord->books.peer, JB_LEASE_RELEASED);
        jbi_coord_leave(coord);
    }
    jbi_fork_guard_remove(&coord->guard);
    jbi_peer_leave(&coord->peers, coord->books.peer);
    if (is_locked)
        jbi_segment_unlock(&coord->segment);
}

void jb_coord_close(jb_coord *coord)
{
    jb_alloc alloc;

    if (!coord)
        return;
    alloc = coord->alloc;
    if (coord->is_shared) {
        if (jbi_fork_guard_is_valid(&coord->guard))
            leave_segment(coord);
        jbi_segment_close(&coord->segment);
    } else if (jbi_fork_guard_is_valid(&coord->guard)) {
        jbi_fork_guard_remove(&coord->guard);
    }
    jbi_alloc_free(&alloc, coord->block, (size_t)coord->block_bytes);
    jbi_alloc_free(&alloc, coord, sizeof *coord);
}

int jb_coord_unlink(const char *name, jb_error *err)
{
    char path[JBI_PATH_BYTES];
    int rc = name ? jbi_segment_path_of(FAMILY, name, path, err)
                  : jbi_error_set(err, JB_EINVAL, "name is NULL");

    return rc ? rc : jbi_segment_unlink(path, jbi_segment_is_name(name), err);
}

uint32_t jbi_coord_bury_dead(jb_coord *coord)
{
    struct burial burial = {.coord = coord};

    if (!coord->is_shared || !jbi_fork_guard_is_valid(&coord->guard) ||
        !jbi_lock_segment_try(&coord->lock))
        return 0;
    atomic_store_explicit(&coord->looked_ns, jb_clock_now_ns(), memory_order_relaxed);
    jbi_peer_bury_dead(&coord->peers, coord->books.peer, bury, &burial);
    jbi_lock_segment_give(&coord->lock);
    return burial.n_ended;
}

/* Others take the segment's lock first and wait for ours with it; here it is only tried, so nobody
 * waits for each other. */
bool jbi_coord_bury_inside(jb_coord *coord)
{
    struct burial burial = {.coord = coord};
    uint64_t now;

    if (!coord->is_shared)
        return false;
    /* By the true clock: death knows no other. */
    now = jb_clock_now_ns();
    if (now - atomic_load_explicit(&coord->looked_ns, memory_order_relaxed) < JBI_LOOK_NS ||
        !jbi_lock_segment_try(&coord->lock))
        return false;
    atomic_store_explicit(&coord->looked_ns, now, memory_order_relaxed);
    jbi_peer_bury_dead(&coord->peers, coord->books.peer, bury_quietly, &burial);
    jbi_lock_segment_give(&coord->lock);
    return burial.n_dead > 0;
}
