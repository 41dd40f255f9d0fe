/*
 * observer.c: from readings to the coordinator: whose use is whose, and what must not be promised.
 *
 * Invariant: the coordinator is told only what a reading says. A reading that says nothing leaves
 * what it was told before; a GPU that was there and is gone is told as full.
 */
#include "jimbot/observe.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "base/os.h"
#include "quota/coord.h"

#include <string.h>

#define SHORTEST_NS UINT64_C(100000000)
#define RESCAN_NS   UINT64_C(5000000000)

enum { PEERS = JBI_PEERS_MAX + 1, PROCESSES = JB_GPU_PROCESSES_MAX, ANCESTORS_MAX = 16 };

struct jb_observer {
    jb_coord *coord;
    jb_alloc alloc;
    jb_gpus *gpus;
    uint64_t interval_ns;
    uint64_t next_ns;
    uint64_t rescan_ns;
    uint32_t own_pid;
    bool is_rescan_wanted;
    bool was_seen[JB_QUOTA_RESOURCES_MAX]; /* its GPU answered once */
    jb_vram_books books[JB_QUOTA_RESOURCES_MAX];
    jb_component_memory memory[JB_QUOTA_COMPONENTS_MAX];
    /* One step's: what each peer was promised of one resource; a reading; who was counted. */
    jb_vram_claim claims[PEERS];
    jb_gpu_process processes[PROCESSES];
    uint64_t counted[JB_QUOTA_COMPONENTS_MAX][PEERS / 64 + 1];
};

void jb_observer_opts_init(jb_observer_opts *opts, uint32_t size)
{
    const jb_observer_opts defaults = {.size = sizeof defaults, .interval_ns = 1000000000};

    if (size > sizeof defaults)
        size = sizeof defaults;
    memcpy(opts, &defaults, size);
    opts->size = size;
}

static int opts_take(const jb_observer_opts *given, jb_observer_opts *ret_opts, jb_error *err)
{
    jb_observer_opts_init(ret_opts, sizeof *ret_opts);
    if (given) {
        if (given->size < sizeof(uint32_t) || given->size > sizeof *ret_opts)
            return jbi_error_set(err, JB_EINVAL,
                                 "jb_observer_opts.size is %u: start from jb_observer_opts_init()",
                                 given->size);
        memcpy(ret_opts, given, given->size);
    }
    if (ret_opts->interval_ns < SHORTEST_NS || !jbi_alloc_is_valid(ret_opts->alloc))
        return jbi_error_set(err, JB_EINVAL,
                             "jb_observer_opts: interval_ns or alloc is outside what it may be");
    return 0;
}

int jb_observer_open(jb_coord *coord, const jb_observer_opts *opts, jb_observer **ret_observer,
                     jb_error *err)
{
    jb_observer_opts taken;
    jb_gpus_opts gpus;
    jb_observer *o;
    jb_alloc alloc;
    int rc = opts_take(opts, &taken, err);

    if (rc < 0)
        return rc;
    if (!coord || !ret_observer)
        return jbi_error_set(err, JB_EINVAL, "jb_observer_open: coord or ret_observer is NULL");
    alloc = jbi_alloc_or_default(taken.alloc);
    o = jbi_alloc_zeroed(&alloc, sizeof *o);
    if (!o)
        return jbi_error_set(err, JB_ENOMEM, "no memory for an observer");
    jb_gpus_opts_init(&gpus, sizeof gpus);
    gpus.pids = taken.pids;
    gpus.library = taken.library;
    gpus.alloc = taken.alloc;
    rc = jb_gpus_open(&gpus, &o->gpus, err);
    if (rc < 0) {
        jbi_alloc_free(&alloc, o, sizeof *o);
        return rc;
    }
    o->coord = coord;
    o->alloc = alloc;
    o->interval_ns = taken.interval_ns;
    o->own_pid = jbi_os_pid();
    *ret_observer = o;
    return 0;
}

/* 0 for a holder that is no process here. */
static uint32_t pid_of(const jb_observer *o, uint32_t peer)
{
    const struct jbi_peer_slot *slot;

    if (peer == 0)
        return 0;
    if (!o->coord->is_shared)
        return o->own_pid;
    slot = jbi_peer_slot_get(&o->coord->peers, peer);
    return slot ? slot->pid : 0;
}

static uint64_t amount_of(const jb_lease_info *lease, uint32_t resource)
{
    for (uint32_t i = 0; i < lease->n_amounts && i < JB_QUOTA_AMOUNTS_MAX; i++) {
        if (lease->amounts[i].resource == resource)
            return lease->amounts[i].amount;
    }
    return 0;
}

/* What each peer was promised of it; returns how many claims there are. Peers of one process, which
 * is one who opened the coordinator twice, are one claim. */
static uint32_t gather_claims(jb_observer *o, uint32_t resource)
{
    jb_lease_info lease;
    uint32_t cursor = 0, n = 0;

    while (jb_coord_next_lease(o->coord, &cursor, &lease) > 0) {
        uint64_t amount = amount_of(&lease, resource);
        uint32_t pid = pid_of(o, lease.peer), i = 0;

        while (i < n && o->claims[i].pid != pid)
            i++;
        if (amount == 0 || i == PEERS)
            continue;
        if (i == n)
            o->claims[n++] = (jb_vram_claim){.pid = pid};
        o->claims[i].reserved_bytes += amount;
    }
    return n;
}

static bool is_claimed(const jb_observer *o, uint32_t n_claims, uint32_t pid)
{
    for (uint32_t i = 0; i < n_claims; i++) {
        if (o->claims[i].pid == pid && pid != 0)
            return true;
    }
    return false;
}

/* Who holds the lease often starts others that use it. */
static uint32_t holder_of(const jb_observer *o, uint32_t n_claims, uint32_t pid)
{
    jb_memory_reading r = {.size = sizeof r};
    uint32_t at = pid;

    for (int i = 0; i < ANCESTORS_MAX && at > 1; i++) {
        if (is_claimed(o, n_claims, at))
            return at;
        if (jb_memory_read(at, &r, NULL) < 0)
            break;
        at = r.parent_pid;
    }
    return pid;
}

static int read_gpu(jb_observer *o, uint32_t resource, uint32_t device, jb_gpu_reading *ret_reading)
{
    int n = jb_gpus_read(o->gpus, device, ret_reading, o->processes, PROCESSES);

    if (n == JB_ENOENT && o->was_seen[resource]) {
        ret_reading->state = JB_GPU_LOST;
        n = 0;
    }
    if (n == JB_ENOENT || ret_reading->state == JB_GPU_LOST)
        o->is_rescan_wanted = true;
    return n;
}

static void observe_vram(jb_observer *o, uint32_t resource, const jb_resource_info *info)
{
    jb_gpu_reading reading = {.size = sizeof reading};
    jb_vram_books *books = &o->books[resource];
    uint32_t n_claims = gather_claims(o, resource);
    uint64_t withheld;
    int n = read_gpu(o, resource, info->device, &reading);

    if (n < 0)
        return;
    for (int i = 0; reading.is_complete && i < n; i++)
        o->processes[i].pid = holder_of(o, n_claims, o->processes[i].pid);
    books->size = sizeof *books;
    if (jb_vram_weigh(&reading, o->processes, (uint32_t)n, o->claims, n_claims, books) < 0 ||
        books->is_blind)
        return;
    o->was_seen[resource] = true;
    withheld = books->withheld_bytes;
    if (reading.state == JB_GPU_FINE && books->total_bytes < info->capacity)
        withheld += info->capacity - books->total_bytes;
    if (withheld < books->withheld_bytes || withheld > info->capacity)
        withheld = info->capacity;
    (void)jb_coord_set_foreign(o->coord, resource, withheld);
}

/* A process counts once for a component, however many leases it holds for it. */
static void count_process(jb_observer *o, const jb_lease_info *lease, jb_component_memory *m)
{
    uint64_t *word = &o->counted[lease->component][lease->peer / 64];
    uint64_t bit = UINT64_C(1) << lease->peer % 64;
    jb_memory_reading r = {.size = sizeof r};
    uint32_t pid = pid_of(o, lease->peer);

    if (pid == 0 || *word & bit || jb_memory_read(pid, &r, NULL) < 0)
        return;
    *word |= bit;
    m->n_processes++;
    m->used_bytes += r.rss_bytes + r.swap_bytes;
}

static void judge_memory(jb_component_memory *m, uint32_t before, const char *name)
{
    static const char *const words[] = {"is well within", "nears the end of", "is beyond"};

    m->state = (uint32_t)jb_memory_judge(m->granted_bytes, m->used_bytes, before, &m->shrink_bytes);
    if (m->n_processes == 0)
        m->state = JB_MEMORY_FINE;
    if (m->state != before)
        jbi_log(m->state > before ? JB_LOG_WARN : JB_LOG_INFO,
                "%.31s %s the memory it was granted: %llu of %llu bytes", name, words[m->state],
                (unsigned long long)m->used_bytes, (unsigned long long)m->granted_bytes);
}

static void observe_memory(jb_observer *o, const bool is_memory[JB_QUOTA_RESOURCES_MAX])
{
    jb_component_info component;
    jb_lease_info lease;
    uint32_t cursor = 0;

    memset(o->counted, 0, sizeof o->counted);
    for (uint32_t i = 0; i < JB_QUOTA_COMPONENTS_MAX; i++)
        o->memory[i] = (jb_component_memory){.state = o->memory[i].state};
    while (jb_coord_next_lease(o->coord, &cursor, &lease) > 0) {
        uint64_t amount = 0;

        for (uint32_t r = 0; r < JB_QUOTA_RESOURCES_MAX; r++)
            amount += is_memory[r] ? amount_of(&lease, r) : 0;
        if (amount == 0 || lease.component >= JB_QUOTA_COMPONENTS_MAX || lease.peer >= PEERS)
            continue;
        o->memory[lease.component].granted_bytes += amount;
        count_process(o, &lease, &o->memory[lease.component]);
    }
    for (uint32_t i = 0; jb_coord_component_at(o->coord, i, &component) == 0; i++)
        judge_memory(&o->memory[i], o->memory[i].state, component.name);
}

int jb_observer_step(jb_observer *observer, uint64_t *ret_next_ns)
{
    bool is_memory[JB_QUOTA_RESOURCES_MAX] = {false};
    uint64_t now_ns = jbi_os_monotonic_ns();
    jb_resource_info info;
    bool is_due;

    if (!observer)
        return JB_EINVAL;
    if (observer->own_pid != jbi_os_pid())
        return JB_ESTATE;
    is_due = now_ns >= observer->next_ns;
    if (is_due) {
        if (observer->is_rescan_wanted && now_ns >= observer->rescan_ns) {
            observer->is_rescan_wanted = false;
            observer->rescan_ns = now_ns + RESCAN_NS;
            (void)jb_gpus_rescan(observer->gpus);
        }
        for (uint32_t i = 0; jb_coord_resource_at(observer->coord, i, &info) == 0; i++) {
            is_memory[i] = info.kind == JB_RESOURCE_MEMORY;
            if (info.kind == JB_RESOURCE_GPU_MEMORY)
                observe_vram(observer, i, &info);
        }
        observe_memory(observer, is_memory);
        observer->next_ns = now_ns + observer->interval_ns;
    }
    if (ret_next_ns)
        *ret_next_ns = observer->next_ns - now_ns;
    return is_due;
}

int jb_observer_vram(const jb_observer *observer, uint32_t resource, jb_vram_books *ret_books)
{
    if (!observer || !ret_books || ret_books->size < sizeof(uint32_t) ||
        ret_books->size > sizeof *ret_books)
        return JB_EINVAL;
    if (resource >= JB_QUOTA_RESOURCES_MAX || observer->books[resource].size == 0)
        return JB_ENOENT;
    memcpy((uint8_t *)ret_books + sizeof(uint32_t),
           (const uint8_t *)&observer->books[resource] + sizeof(uint32_t),
           ret_books->size - sizeof(uint32_t));
    return 0;
}

int jb_observer_memory(const jb_observer *observer, uint32_t component,
                       jb_component_memory *ret_memory)
{
    jb_component_info info;

    if (!observer || !ret_memory || ret_memory->size < sizeof(uint32_t) ||
        ret_memory->size > sizeof *ret_memory)
        return JB_EINVAL;
    if (jb_coord_component_at(observer->coord, component, &info) < 0)
        return JB_ENOENT;
    memcpy((uint8_t *)ret_memory + sizeof(uint32_t),
           (const uint8_t *)&observer->memory[component] + sizeof(uint32_t),
           ret_memory->size - sizeof(uint32_t));
    return 0;
}

void jb_observer_close(jb_observer *observer)
{
    jb_alloc alloc;

    if (!observer)
        return;
    jb_gpus_close(observer->gpus);
    alloc = observer->alloc;
    jbi_alloc_free(&alloc, observer, sizeof *observer);
}
