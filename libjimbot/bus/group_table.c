/*
 * group_table.c: consumer groups: made, joined and ended; who holds a lock, and who lives.
 *
 * Invariant: a group is in use from the one store of its state on, so one that was half made when
 * its maker died was never there. Workers come in under the table's lock, and go by a swap on their
 * own slot, whoever makes it.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/os.h"
#include "bus/group.h"
#include "topic/pattern.h"

#include <string.h>

#define JOIN_TIMEOUT_NS UINT64_C(2000000000)
#define JOIN_NAP_NS     UINT64_C(100000)
#define CHECK_EVERY_NS  UINT64_C(10000000)

void jb_group_opts_init(jb_group_opts *opts, uint32_t size)
{
    const jb_group_opts defaults = {
        .size = sizeof defaults,
        .start = JB_SUB_FROM_NOW,
        .spin_ns = 10000,
    };

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_group_opts *given, jb_group_opts *ret_opts, jb_error *err)
{
    jb_group_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_group_opts.size is %u: start from jb_group_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->start > JB_SUB_FROM_OLDEST)
        return jbi_error_set(err, JB_EINVAL, "jb_group_opts has an unknown start (%u)",
                             ret_opts->start);
    return 0;
}

bool jbi_group_lock_try(const jb_bus *bus, _Atomic uint64_t *lock)
{
    uint64_t word = atomic_load_explicit(lock, memory_order_seq_cst);

    return (word & 0xff) == 0 &&
           atomic_compare_exchange_strong_explicit(lock, &word, ((word >> 8) + 1) << 8 | bus->peer,
                                                   memory_order_seq_cst, memory_order_relaxed);
}

static void lock_take_from(_Atomic uint64_t *lock, uint64_t word)
{
    (void)atomic_compare_exchange_strong_explicit(lock, &word, ((word >> 8) + 1) << 8,
                                                  memory_order_seq_cst, memory_order_relaxed);
}

void jbi_group_unlock(_Atomic uint64_t *lock)
{
    lock_take_from(lock, atomic_load_explicit(lock, memory_order_relaxed));
}

/* Takes the lock away from a dead holder. Costs a system call. */
static void lock_break(const jb_bus *bus, _Atomic uint64_t *lock)
{
    uint64_t word = atomic_load_explicit(lock, memory_order_acquire);
    uint32_t peer = (uint32_t)word & 0xff;

    if (peer && !bus->ring.is_alive(peer, bus->ring.userdata))
        lock_take_from(lock, word);
}

static int table_lock(const jb_bus *bus)
{
    _Atomic uint64_t *lock = &bus->groups_control->lock;
    uint64_t start = jbi_os_monotonic_ns();

    while (!jbi_group_lock_try(bus, lock)) {
        lock_break(bus, lock);
        if (jbi_os_monotonic_ns() - start >= JOIN_TIMEOUT_NS)
            return JB_ETIMEDOUT;
        jbi_os_sleep_ns(JOIN_NAP_NS);
    }
    return 0;
}

static void table_unlock(const jb_bus *bus)
{
    jbi_group_unlock(&bus->groups_control->lock);
}

/* The lock of one group, for those who may wait. */
static int group_lock(const jb_bus *bus, struct jbi_group_slot *group)
{
    uint64_t start = jbi_os_monotonic_ns();

    while (!jbi_group_lock_try(bus, &group->lock)) {
        lock_break(bus, &group->lock);
        if (jbi_os_monotonic_ns() - start >= JOIN_TIMEOUT_NS)
            return JB_ETIMEDOUT;
        jbi_os_sleep_ns(JOIN_NAP_NS);
    }
    return 0;
}

bool jbi_group_is_in_use(const struct jbi_group_slot *group)
{
    return atomic_load_explicit(&group->state, memory_order_acquire) == 1;
}

static bool has_name(const struct jbi_group_slot *group, const char *name)
{
    return strncmp(group->name, name, sizeof group->name) == 0;
}

static struct jbi_group_slot *group_find(const jb_bus *bus, const char *name)
{
    for (uint32_t i = 0; i < bus->n_groups; i++) {
        if (jbi_group_is_in_use(&bus->groups[i]) && has_name(&bus->groups[i], name))
            return &bus->groups[i];
    }
    return NULL;
}

static bool is_name(const char *name)
{
    size_t len = strnlen(name, sizeof((struct jbi_group_slot *)0)->name);

    if (len == 0 || len == sizeof((struct jbi_group_slot *)0)->name)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

/* False when somebody else has changed it. */
static bool worker_step(struct jbi_group_slot *group, uint32_t idx, uint64_t *word,
                        enum jbi_worker_state state)
{
    uint64_t next = jbi_worker_word(*word, jbi_worker_peer(*word), state);
    bool is_ours = atomic_compare_exchange_strong_explicit(
        &group->workers[idx].word, word, next, memory_order_seq_cst, memory_order_relaxed);

    *word = is_ours ? next : *word;
    return is_ours;
}

/* A worker is gone, or was about to be when somebody else died doing this. */
static void worker_free(struct jbi_group_slot *group, uint32_t idx, uint64_t word)
{
    if (jbi_worker_is_taken(word) && !worker_step(group, idx, &word, JBI_WORKER_GOING))
        return;
    atomic_fetch_add_explicit(&group->returns, 1, memory_order_seq_cst);
    (void)worker_step(group, idx, &word, JBI_WORKER_FREE);
}

/* Free the slots of dead workers. Costs system calls. */
static void reap(jb_bus *bus, struct jbi_group_slot *group)
{
    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
        uint64_t word = atomic_load_explicit(&group->workers[i].word, memory_order_acquire);

        if (jbi_worker_state(word) != JBI_WORKER_FREE &&
            !bus->ring.is_alive(jbi_worker_peer(word), bus->ring.userdata))
            worker_free(group, i, word);
    }
}

void jbi_group_check(jb_bus *bus, struct jbi_group_slot *group, uint64_t now_ns)
{
    uint64_t before = atomic_load_explicit(&group->checked_ns, memory_order_relaxed);

    if ((now_ns >= before && now_ns - before < CHECK_EVERY_NS) ||
        !atomic_compare_exchange_strong_explicit(&group->checked_ns, &before, now_ns,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    lock_break(bus, &group->lock);
    reap(bus, group);
}

void jbi_groups_bury(jb_bus *bus, uint32_t peer)
{
    uint64_t word = atomic_load_explicit(&bus->groups_control->lock, memory_order_acquire);

    if ((word & 0xff) == peer)
        lock_take_from(&bus->groups_control->lock, word);
    for (uint32_t g = 0; g < bus->n_groups; g++) {
        struct jbi_group_slot *group = &bus->groups[g];

        word = atomic_load_explicit(&group->lock, memory_order_acquire);
        if ((word & 0xff) == peer)
            lock_take_from(&group->lock, word);
        for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
            word = atomic_load_explicit(&group->workers[i].word, memory_order_acquire);
            if (jbi_worker_state(word) != JBI_WORKER_FREE && jbi_worker_peer(word) == peer)
                worker_free(group, i, word);
        }
    }
}

static bool has_worker(const jb_bus *bus, const struct jbi_group_slot *group)
{
    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
        uint64_t word = atomic_load_explicit(&group->workers[i].word, memory_order_seq_cst);

        if (jbi_worker_is_taken(word) &&
            bus->ring.is_alive(jbi_worker_peer(word), bus->ring.userdata))
            return true;
    }
    return false;
}

bool jbi_group_is_alive(uint32_t reader_idx, void *userdata)
{
    const jb_bus *bus = userdata;
    uint32_t number =
        atomic_load_explicit(&bus->ring.readers[reader_idx].group, memory_order_relaxed);
    const struct jbi_group_slot *group;

    if (number < 1 || number > bus->n_groups)
        return false;
    group = &bus->groups[number - 1];
    return jbi_group_is_in_use(group) &&
           atomic_load_explicit(&group->gate, memory_order_acquire) == reader_idx + 1u &&
           has_worker(bus, group);
}

/* A group with no entries, at its place. Under the table's lock; nobody sees it yet. */
static int group_make(jb_bus *bus, struct jbi_group_slot *group, const char *pattern,
                      const jb_group_opts *opts)
{
    struct jbi_group_view view = {.first = JB_GROUP_PENDING_MAX, .next = JB_GROUP_PENDING_MAX};
    int rc = 0;

    if (opts->start == JB_SUB_FROM_OLDEST)
        jbi_cursor_oldest(&bus->ring, &view.at);
    else
        rc = jbi_cursor_newest(&bus->ring, &view.at);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < JB_GROUP_PENDING_MAX; i++)
        atomic_store_explicit(&group->entries[i].word, 0, memory_order_relaxed);
    view.returns_seen = atomic_load_explicit(&group->returns, memory_order_relaxed);
    memset(group->pattern, 0, sizeof group->pattern);
    memcpy(group->pattern, pattern, strlen(pattern));
    group->ack_timeout_ns = opts->ack_timeout_ns;
    group->evict_after_ns = opts->evict_after_ns;
    atomic_store_explicit(&group->gate, 0, memory_order_relaxed);
    jbi_group_view_store(group, &view);
    return 0;
}

/* Under the table's lock, when it has no worker. */
static void group_end(jb_bus *bus, struct jbi_group_slot *group)
{
    jbi_group_gate_free(bus, (uint32_t)(group - bus->groups));
    atomic_store_explicit(&group->state, 0, memory_order_release);
}

static struct jbi_group_slot *group_unused(const jb_bus *bus)
{
    for (uint32_t i = 0; i < bus->n_groups; i++) {
        if (!jbi_group_is_in_use(&bus->groups[i]))
            return &bus->groups[i];
    }
    return NULL;
}

/* The group of that name, made if need be. Under the table's lock. */
static int group_open(jb_worker *worker, const char *name, const char *pattern,
                      const jb_group_opts *opts, bool *ret_is_new, jb_error *err)
{
    jb_bus *bus = worker->bus;
    struct jbi_group_slot *group = group_find(bus, name);
    int rc;

    *ret_is_new = !group;
    if (!group) {
        group = group_unused(bus);
        if (!group)
            return jbi_error_set(err, JB_ELIMIT, "all %u groups of the bus are in use",
                                 bus->n_groups);
        rc = group_make(bus, group, pattern, opts);
        if (rc)
            return jbi_error_set(err, rc, "the ring of the bus is damaged");
        memset(group->name, 0, sizeof group->name);
        memcpy(group->name, name, strlen(name));
        atomic_store_explicit(&group->state, 1, memory_order_release);
    }
    if (strncmp(group->pattern, pattern, sizeof group->pattern) != 0)
        return jbi_error_set(err, JB_EINVAL, "the group '%s' has the pattern '%.127s', not '%s'",
                             name, group->pattern, pattern);
    worker->group = group;
    worker->group_idx = (uint32_t)(group - bus->groups);
    return 0;
}

static int slot_take(jb_worker *worker, jb_error *err)
{
    jb_bus *bus = worker->bus;

    reap(bus, worker->group);
    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
        _Atomic uint64_t *word = &worker->group->workers[i].word;
        uint64_t before = atomic_load_explicit(word, memory_order_acquire);

        worker->word = jbi_worker_word(before, bus->peer, JBI_WORKER_TAKEN);
        if (jbi_worker_state(before) != JBI_WORKER_FREE ||
            !atomic_compare_exchange_strong_explicit(word, &before, worker->word,
                                                     memory_order_seq_cst, memory_order_relaxed))
            continue;
        worker->idx = i;
        atomic_store_explicit(&worker->group->workers[i].is_asleep, 0, memory_order_relaxed);
        return 0;
    }
    return jbi_error_set(err, JB_ELIMIT, "the group has %d workers already", JB_GROUP_WORKERS_MAX);
}

/* Whoever looked at the gate before we were there, and is about to free it, is to fail; if he was
 * faster, the gate is made anew. */
static int gate_renew(jb_worker *worker, jb_error *err)
{
    jb_bus *bus = worker->bus;
    struct jbi_group_slot *group = worker->group;
    struct jbi_group_view view;
    int rc = group_lock(bus, group);

    if (rc)
        return jbi_error_set(err, rc, "a worker of the group stands still with its lock");
    rc = jbi_group_view_load(bus, group, &view);
    if (!rc)
        jbi_group_gate_touch(bus, worker->group_idx);
    if (!rc)
        rc = jbi_group_gate(bus, worker->group_idx, &view);
    if (!rc) {
        jbi_group_settle(bus, worker->group_idx, &view);
        worker->low = worker->high = view.next;
        worker->position = view.at.position;
    }
    jbi_group_unlock(&group->lock);
    return rc ? jbi_error_set(err, rc,
                              rc == JB_ELIMIT ? "no subscription of the bus is left for the group"
                                              : "the group or the ring of the bus is damaged")
              : 0;
}

static int join(jb_worker *worker, const char *name, const char *pattern, const jb_group_opts *opts,
                jb_error *err)
{
    bool is_new = false;
    int rc = table_lock(worker->bus);

    if (rc)
        return jbi_error_set(err, rc, "somebody stands still in the middle of joining a group");
    rc = group_open(worker, name, pattern, opts, &is_new, err);
    if (!rc)
        rc = slot_take(worker, err);
    if (!rc) {
        rc = gate_renew(worker, err);
        if (rc)
            worker_free(worker->group, worker->idx, worker->word);
        /* One that nobody could join was not made. */
        if (rc && is_new)
            group_end(worker->bus, worker->group);
    }
    table_unlock(worker->bus);
    return rc;
}

static void worker_destroy(jb_worker *worker)
{
    jb_alloc alloc = worker->bus->alloc;

    jbi_filter_fini(&worker->filter);
    jbi_alloc_free(&alloc, worker, sizeof *worker);
}

int jb_group_join(jb_bus *bus, const char *name, const char *pattern, size_t len_bytes,
                  const jb_group_opts *given, jb_worker **ret_worker, jb_error *err)
{
    char pattern_copy[JB_TOPIC_MAX_BYTES + 1] = {0};
    jb_group_opts opts;
    jb_worker *worker;
    int rc;

    if (!bus || !name || !pattern || !ret_worker)
        return jbi_error_set(err, JB_EINVAL, "bus, name, pattern or ret_worker is NULL");
    if (!jbi_bus_is_usable(bus))
        return jbi_error_set(err, JB_ESTATE, "the bus was opened before fork()");
    if (!is_name(name))
        return jbi_error_set(err, JB_EINVAL, "'%.40s' is not a name for a group", name);
    rc = opts_take(given, &opts, err);
    if (rc)
        return rc;
    worker = jbi_alloc_zeroed(&bus->alloc, sizeof *worker);
    if (!worker)
        return jbi_error_set(err, JB_ENOMEM, "no memory for a worker");
    worker->bus = bus;
    worker->spin_ns = opts.spin_ns;
    rc = jbi_filter_init(&worker->filter, bus->max_topics, &bus->alloc);
    if (!rc)
        rc = jbi_filter_add(&worker->filter, pattern, len_bytes);
    if (rc) {
        jbi_error_set(err, rc, "'%.*s' is not a topic pattern",
                      (int)(len_bytes < 128 ? len_bytes : 128), pattern);
    } else {
        memcpy(pattern_copy, pattern, len_bytes);
        rc = join(worker, name, pattern_copy, &opts, err);
    }
    if (rc) {
        worker_destroy(worker);
        return rc;
    }
    *ret_worker = worker;
    return 0;
}

void jb_worker_leave(jb_worker *worker)
{
    if (!worker)
        return;
    if (jbi_bus_is_usable(worker->bus)) {
        worker_free(worker->group, worker->idx, worker->word);
        jbi_ring_wake(&worker->bus->ring);
    }
    worker_destroy(worker);
}

int jb_group_remove(jb_bus *bus, const char *name)
{
    struct jbi_group_slot *group;
    int rc;

    if (!bus || !name)
        return JB_EINVAL;
    if (!jbi_bus_is_usable(bus))
        return JB_ESTATE;
    rc = table_lock(bus);
    if (rc)
        return rc;
    group = group_find(bus, name);
    if (!group) {
        rc = JB_ENOENT;
    } else if (has_worker(bus, group)) {
        rc = JB_ESTATE;
    } else {
        reap(bus, group);
        group_end(bus, group);
    }
    table_unlock(bus);
    return rc;
}
