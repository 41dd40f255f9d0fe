/*
 * worker.c: one member of a consumer group.
 *
 * Invariant: a worker changes the words of its own entries without the lock; when the oldest of the
 * window is done with, somebody lets go of its bytes: the worker, or who holds the lock just then,
 * for he looks again once he has given it back.
 */
#include "base/os.h"
#include "bus/group.h"

/* A sleeping worker looks up this often, for others that have died. */
#define LOOK_UP_NS UINT64_C(50000000)
/* While others have the lock, or too much is unacknowledged: from .. to. */
#define NAP_NS     UINT64_C(100000)
#define NAP_MAX_NS UINT64_C(3200000)

enum { LOCK_TRIES = 64, LOOKS_BETWEEN_YIELDS = 64 };

static bool is_usable(const jb_worker *worker)
{
    return jbi_bus_is_usable(worker->bus);
}

static bool first_is_done(const jb_worker *worker)
{
    struct jbi_group_view view;
    uint64_t word;

    if (jbi_group_view_load(worker->bus, worker->group, &view) || view.first == view.next)
        return false;
    word = atomic_load_explicit(&jbi_group_entry(worker->group, view.first)->word,
                                memory_order_seq_cst);
    return jbi_entry_is(word, view.first) && jbi_entry_state(word) >= JBI_ENTRY_ACKED;
}

/* Let go of what is done with, unless somebody has the lock, who does it. */
static void settle(jb_worker *worker)
{
    struct jbi_group_view view;

    while (first_is_done(worker) && jbi_group_lock_try(worker->bus, &worker->group->lock)) {
        int rc = jbi_group_view_load(worker->bus, worker->group, &view);

        if (!rc)
            jbi_group_settle(worker->bus, worker->group_idx, &view);
        jbi_group_unlock(&worker->group->lock);
        if (rc)
            return;
    }
}

static bool is_ours(const jb_worker *worker, uint64_t number, uint64_t word)
{
    return jbi_entry_is(word, number) && jbi_entry_state(word) == JBI_ENTRY_HELD &&
           jbi_entry_worker(word) == worker->idx &&
           jbi_entry_tag(word) == jbi_worker_tag(worker->word);
}

/* Forget one, and those before it that were forgotten before. */
static void forget(jb_worker *worker, uint64_t number)
{
    jbi_holding(worker, number)->number = 0;
    while (worker->low < worker->high && jbi_holding(worker, worker->low)->number != worker->low)
        worker->low++;
}

static bool is_held(jb_worker *worker, uint64_t number)
{
    return jbi_holding(worker, number)->number == number;
}

/* We looked at its bytes until now; were they given away, nothing of that counts. */
static enum jbi_entry_state state_of_end(jb_worker *worker, uint64_t number,
                                         enum jbi_entry_state state)
{
    return jbi_ring_is_kept(&worker->bus->ring, jbi_holding(worker, number)->position)
               ? state
               : JBI_ENTRY_LOST;
}

/* JB_EEVICTED, JB_ETIMEDOUT: it is not ours any more. */
static int entry_end(jb_worker *worker, uint64_t number, enum jbi_entry_state state)
{
    _Atomic uint64_t *entry = &jbi_group_entry(worker->group, number)->word;
    uint64_t word = atomic_load_explicit(entry, memory_order_acquire);

    state = state_of_end(worker, number, state);
    if (is_ours(worker, number, word) &&
        atomic_compare_exchange_strong_explicit(entry, &word, jbi_entry_with_state(word, state),
                                                memory_order_seq_cst, memory_order_acquire))
        return state == JBI_ENTRY_LOST ? JB_EEVICTED : 0;
    return worker->group->ack_timeout_ns == 0 ||
                   (jbi_entry_is(word, number) && jbi_entry_state(word) == JBI_ENTRY_LOST)
               ? JB_EEVICTED
               : JB_ETIMEDOUT;
}

static int event_end(jb_worker *worker, uint64_t sequence, enum jbi_entry_state state)
{
    if (!worker)
        return JB_EINVAL;
    if (!is_usable(worker))
        return JB_ESTATE;
    for (uint64_t number = worker->low; number < worker->high; number++) {
        int rc;

        if (!is_held(worker, number) || jbi_holding(worker, number)->sequence != sequence)
            continue;
        rc = entry_end(worker, number, state);
        forget(worker, number);
        return rc;
    }
    return JB_ESTATE;
}

int jb_worker_ack(jb_worker *worker, uint64_t sequence)
{
    int rc = event_end(worker, sequence, JBI_ENTRY_ACKED);

    if (rc == 0 || rc == JB_EEVICTED)
        settle(worker);
    return rc;
}

int jb_worker_ack_all(jb_worker *worker)
{
    int n = 0;

    if (!worker)
        return JB_EINVAL;
    if (!is_usable(worker))
        return JB_ESTATE;
    for (uint64_t number = worker->low; number < worker->high; number++) {
        if (!is_held(worker, number))
            continue;
        n += entry_end(worker, number, JBI_ENTRY_ACKED) == 0;
        jbi_holding(worker, number)->number = 0;
    }
    worker->low = worker->high;
    settle(worker);
    return n;
}

int jb_worker_nack(jb_worker *worker, uint64_t sequence)
{
    int rc = event_end(worker, sequence, JBI_ENTRY_READY);

    if (rc)
        return rc;
    atomic_fetch_add_explicit(&worker->group->returns, 1, memory_order_seq_cst);
    jbi_ring_wake(&worker->bus->ring);
    return 0;
}

/* As jb_worker_take(), and whether it saw the end of the ring. */
static int take(jb_worker *worker, jb_event *events, uint32_t n_max, bool *ret_is_end)
{
    int rc = JB_EAGAIN;

    if (jbi_has_notices(worker->bus))
        jbi_notices_publish(worker->bus);
    /* Others hold the lock for as long as it takes to look through a few events. */
    for (int i = 0; i < LOCK_TRIES && rc == JB_EAGAIN; i++) {
        if (i)
            jbi_os_pause();
        rc = jbi_group_take(worker, events, n_max, ret_is_end);
    }
    settle(worker);
    if (rc == JB_EAGAIN)
        return 0;
    if (rc == 0 && *ret_is_end)
        jbi_ring_unblock(&worker->bus->ring, worker->position);
    return rc;
}

int jb_worker_take(jb_worker *worker, jb_event *events, uint32_t n_max)
{
    bool is_end;

    if (!worker || (!events && n_max))
        return JB_EINVAL;
    if (!is_usable(worker))
        return JB_ESTATE;
    if (n_max == 0)
        return 0;
    return take(worker, events, n_max < JB_GROUP_PENDING_MAX ? n_max : JB_GROUP_PENDING_MAX,
                &is_end);
}

static bool others_sleep(const jb_worker *worker)
{
    for (uint32_t i = 0; i < JB_GROUP_WORKERS_MAX; i++) {
        const struct jbi_worker_slot *slot = &worker->group->workers[i];

        if (atomic_load_explicit(&slot->is_asleep, memory_order_seq_cst) &&
            jbi_worker_is_taken(atomic_load_explicit(&slot->word, memory_order_relaxed)))
            return true;
    }
    return false;
}

/* The workers of a group share one bit among the sleepers, and who wakes clears it. So he sets it
 * again while others sleep, and wakes them for what may have come in between. */
static void doze(jb_worker *worker, uint64_t timeout_ns)
{
    struct jbi_ring *ring = &worker->bus->ring;
    _Atomic uint32_t *is_asleep = &jbi_worker_slot(worker)->is_asleep;
    uint64_t gate = atomic_load_explicit(&worker->group->gate, memory_order_acquire);
    uint32_t idx = (uint32_t)gate - 1;

    if (gate < 1 || gate > worker->bus->max_subs)
        return;
    atomic_store_explicit(is_asleep, 1, memory_order_seq_cst);
    jbi_ring_sleep(ring, idx, worker->position, timeout_ns);
    atomic_store_explicit(is_asleep, 0, memory_order_seq_cst);
    if (!others_sleep(worker))
        return;
    if (!jbi_ring_arm(ring, idx, worker->position))
        jbi_ring_wake(ring);
}

/* Look at the mark where the next new event will be. */
static bool spin(const jb_worker *worker, uint64_t until_ns)
{
    const struct jbi_ring *ring = &worker->bus->ring;

    for (uint32_t looks = 1;; looks++) {
        if (!jbi_mark_is_pending(ring, jbi_ring_mark_load(ring, worker->position),
                                 worker->position))
            return true;
        jbi_os_pause();
        if (looks % LOOKS_BETWEEN_YIELDS)
            continue;
        if (jbi_os_monotonic_ns() >= until_ns)
            return false;
        jbi_os_yield();
    }
}

static void rest(jb_worker *worker, bool is_end, uint64_t now_ns, uint64_t left_ns,
                 uint64_t *nap_ns)
{
    uint64_t spin_ns = worker->spin_ns < left_ns ? worker->spin_ns : left_ns;

    if (!is_end) {
        jbi_os_sleep_ns(left_ns < *nap_ns ? left_ns : *nap_ns);
        *nap_ns = *nap_ns < NAP_MAX_NS ? *nap_ns * 2 : *nap_ns;
        return;
    }
    if (spin_ns && spin(worker, now_ns + spin_ns))
        return;
    left_ns -= spin_ns;
    if (left_ns)
        doze(worker, left_ns < LOOK_UP_NS ? left_ns : LOOK_UP_NS);
}

int jb_worker_wait(jb_worker *worker, uint64_t timeout_ns)
{
    uint64_t start = 0, nap_ns = NAP_NS;

    if (!worker)
        return JB_EINVAL;
    for (;;) {
        bool is_end;
        uint64_t now;
        int rc;

        if (!is_usable(worker))
            return JB_ESTATE;
        rc = take(worker, NULL, 0, &is_end);
        if (rc || timeout_ns == 0)
            return rc;
        now = jbi_os_monotonic_ns();
        if (!start)
            start = now;
        if (now - start >= timeout_ns)
            return 0;
        rest(worker, is_end, now, timeout_ns - (now - start), &nap_ns);
    }
}
