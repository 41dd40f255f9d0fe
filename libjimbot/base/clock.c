/*
 * clock.c: see clock.h. Between two readings of the kernel's clock, at most a millisecond apart,
 * time goes on with the processor's own counter, at the rate it had between the two readings
 * before.
 *
 * Invariant: the counter is used only where the kernel itself keeps time with it, so it is constant
 * and the same on all cores; everywhere else the kernel is asked each time.
 */
#include "base/clock.h"

#include "base/os.h"

#if defined(__x86_64__)

#include <stdatomic.h>
#include <x86intrin.h>

/* Too short a time to tell a rate from, and too long a one to go on with it. */
#define BASELINE_MIN_NS UINT64_C(500000)
#define TRUSTED_NS      UINT64_C(1000000)

/* The two clocks are read this close to each other, some 400 ns, or the reading does not count:
 * whoever was stopped between them knows what time it is, but not when. */
#define READING_MAX_TICKS UINT64_C(1024)

enum source { SOURCE_UNKNOWN, SOURCE_COUNTER, SOURCE_KERNEL };

/* One writer at a time, who makes `version` odd; readers who see it change ask the kernel. */
static struct {
    _Atomic uint32_t version;
    _Atomic uint32_t source;
    _Atomic uint64_t ticks;
    _Atomic uint64_t ns;
    _Atomic uint64_t trusted_ticks; /* how far from `ticks` the rate holds */
    _Atomic uint64_t ns_per_tick;   /* << 32 */
} anchor;

static uint64_t get(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static void set(_Atomic uint64_t *word, uint64_t value)
{
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Drop an anchor here, and learn the rate from the way since the last one. */
static uint64_t anchor_move(void)
{
    uint32_t version = atomic_load_explicit(&anchor.version, memory_order_relaxed);
    uint64_t ticks, ns, ticks_passed, ns_passed;

    if (atomic_load_explicit(&anchor.source, memory_order_relaxed) == SOURCE_UNKNOWN)
        atomic_store_explicit(&anchor.source,
                              jbi_os_clock_is_counter() ? SOURCE_COUNTER : SOURCE_KERNEL,
                              memory_order_relaxed);
    ticks = __rdtsc();
    ns = jbi_os_monotonic_ns();
    if (__rdtsc() - ticks > READING_MAX_TICKS)
        return ns;
    ticks_passed = ticks - get(&anchor.ticks);
    ns_passed = ns - get(&anchor.ns);
    if ((version & 1) || ns_passed < BASELINE_MIN_NS || ticks_passed < ns_passed / 16 ||
        !atomic_compare_exchange_strong_explicit(&anchor.version, &version, version + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return ns;
    atomic_thread_fence(memory_order_release);
    /* The first anchor has nothing before it to learn from, and after a long pause the rate over
     * it is as good as any. */
    set(&anchor.trusted_ticks,
        get(&anchor.ns) ? (uint64_t)((double)ticks_passed / (double)ns_passed * TRUSTED_NS) : 0);
    set(&anchor.ns_per_tick, (uint64_t)((double)ns_passed / (double)ticks_passed * 4294967296.0));
    set(&anchor.ticks, ticks);
    set(&anchor.ns, ns);
    atomic_store_explicit(&anchor.version, version + 2, memory_order_release);
    return ns;
}

uint64_t jbi_clock_event_ns(void)
{
    uint32_t version;
    uint64_t ticks, ns;

    if (atomic_load_explicit(&anchor.source, memory_order_relaxed) == SOURCE_KERNEL)
        return jbi_os_monotonic_ns();
    version = atomic_load_explicit(&anchor.version, memory_order_acquire);
    ticks = __rdtsc() - get(&anchor.ticks);
    if ((version & 1) || ticks >= get(&anchor.trusted_ticks))
        return anchor_move();
    ns = get(&anchor.ns) + (ticks * get(&anchor.ns_per_tick) >> 32);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&anchor.version, memory_order_relaxed) != version)
        return jbi_os_monotonic_ns();
    return ns;
}

#else

uint64_t jbi_clock_event_ns(void)
{
    return jbi_os_monotonic_ns();
}

#endif
