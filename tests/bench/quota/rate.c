/*
 * rate.c: one check of a rate with the time given, beside the crate `governor`: allowed, denied,
 * and two threads on one limiter; and beside what no check can do without, a compare-and-swap.
 *
 * Both sides run the same loop over the same times, each compiled by its own compiler into one
 * function, and allow a million a second.
 */
#include "jimbot/rate.h"
#include "bench.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { PER_SECOND = 1000000, BURST = 1000, BURST_SHARED = 4000000, STEP_NS = 1000 };

static jb_gcra cell;
static uint64_t cell_now;

static void cell_of(uint64_t burst)
{
    cell_now = UINT64_C(1) << 40;
    if (jb_gcra_init(&cell, PER_SECOND, UINT64_C(1000000000), burst, cell_now) != 0)
        die("a cell cannot be made");
}

static void cell_make(void)
{
    cell_of(BURST);
}

/* Enough for both threads, wherever the times of one are when the other begins. */
static void cell_large(void)
{
    cell_of(BURST_SHARED);
}

static void cell_empty(void)
{
    cell_make();
    if (jb_gcra_take(&cell, BURST, cell_now, NULL) != 0)
        die("a full cell does not give its burst");
}

static __attribute__((noinline)) uint64_t cell_check(uint64_t n, uint64_t from_ns, uint64_t step_ns)
{
    uint64_t allowed = 0;

    for (uint64_t i = 0; i < n; i++)
        allowed += jb_gcra_take(&cell, 1, from_ns + (i + 1) * step_ns, NULL) == 0;
    return allowed;
}

static void cell_allowed(uint64_t n)
{
    if (cell_check(n, cell_now, STEP_NS) != n)
        die("a cell denied what comes in time");
    cell_now += n * STEP_NS;
}

static void cell_denied(uint64_t n)
{
    if (cell_check(n, cell_now, 0) != 0)
        die("an empty cell gave");
}

static void cell_shared(uint64_t n)
{
    if (cell_check(n, UINT64_C(1) << 40, STEP_NS) != n)
        die("a cell denied one of two threads");
}

static const void *(*governor_new)(uint32_t per_second, uint32_t burst);
static uint64_t (*governor_check)(const void *limiter, uint64_t n, uint64_t from_ns,
                                  uint64_t step_ns);
static const void *limiter;
static uint64_t limiter_now;

static const char *governor_absent(void)
{
    static void *library;

    if (!governor_path)
        return "skipped: no cargo to build the crate governor with";
    if (!library)
        library = dlopen(governor_path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "skipped: the crate governor was not built";
    *(void **)&governor_new = dlsym(library, "bench_governor_new");
    *(void **)&governor_check = dlsym(library, "bench_governor_check");
    return governor_new && governor_check ? NULL : "skipped: it is not what was expected";
}

static void governor_make(void)
{
    limiter = governor_new(PER_SECOND, BURST);
    limiter_now = 0;
}

static void governor_large(void)
{
    limiter = governor_new(PER_SECOND, BURST_SHARED);
}

static void governor_empty(void)
{
    governor_make();
    if (governor_check(limiter, BURST, 0, 0) != BURST)
        die("a full limiter of governor does not give its burst");
}

static void governor_allowed(uint64_t n)
{
    if (governor_check(limiter, n, limiter_now, STEP_NS) != n)
        die("governor denied what comes in time");
    limiter_now += n * STEP_NS;
}

static void governor_denied(uint64_t n)
{
    if (governor_check(limiter, n, 0, 0) != 0)
        die("an empty limiter of governor gave");
}

static void governor_shared(uint64_t n)
{
    if (governor_check(limiter, n, 0, STEP_NS) != n)
        die("governor denied one of two threads");
}

static uint64_t word;

static void swap_alone(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t old = __atomic_load_n(&word, __ATOMIC_RELAXED);

        if (!__atomic_compare_exchange_n(&word, &old, old + STEP_NS, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            die("somebody else swapped");
    }
}

static jb_window *window;
static uint64_t window_now;

static void window_make(void)
{
    static uint64_t memory[512];

    if (jb_window_init(memory, jb_window_bytes(100), 100, UINT64_C(3600000000000), &window) != 0)
        die("a window cannot be made");
    window_now = 0;
}

static void window_take(uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        window_now += UINT64_C(36000000000);
        if (jb_window_take(window, 1, window_now, NULL) != 0)
            die("a window denied what comes in time");
    }
}

static const struct entry ours_allowed = {
    .name = "jb_gcra_take, allowed", .prepare = cell_make, .work = cell_allowed};
static const struct entry ours_denied = {
    .name = "jb_gcra_take, denied", .prepare = cell_empty, .work = cell_denied};
static const struct entry ours_shared = {
    .name = "jb_gcra_take, 2 threads", .prepare = cell_large, .work = cell_shared, .n_threads = 2};
static const struct entry theirs_allowed = {.name = "governor 0.10 (Rust), allowed",
                                            .absent = governor_absent,
                                            .wanted = 1,
                                            .prepare = governor_make,
                                            .work = governor_allowed};
static const struct entry bare_swap = {.name = "a compare-and-swap alone", .work = swap_alone};
static const struct entry theirs_denied = {.name = "governor 0.10 (Rust), denied",
                                           .absent = governor_absent,
                                           .wanted = 1,
                                           .prepare = governor_empty,
                                           .work = governor_denied};
static const struct entry theirs_shared = {.name = "governor 0.10 (Rust), 2 threads",
                                           .absent = governor_absent,
                                           .wanted = 1,
                                           .prepare = governor_large,
                                           .work = governor_shared,
                                           .n_threads = 2};
static const struct entry ours_window = {
    .name = "jb_window_take, 100 an hour", .prepare = window_make, .work = window_take};

const struct row gcra_allowed = {.name = "gcra_allowed",
                                 .title = "a check that is allowed, the time given",
                                 .n = 1000000,
                                 .aim_ns = 10,
                                 .entries = {&ours_allowed, &theirs_allowed, &bare_swap}};
const struct row gcra_denied = {.name = "gcra_denied",
                                .title = "a check that is denied, the time given",
                                .n = 1000000,
                                .aim_ns = 10,
                                .entries = {&ours_denied, &theirs_denied}};
const struct row gcra_two_threads = {.name = "gcra_two_threads",
                                     .title = "two threads on one limiter, time for one check",
                                     .n = 1000000,
                                     .entries = {&ours_shared, &theirs_shared}};
const struct row window_hundred = {.name = "window_100",
                                   .title = "an exact window of 100 an hour, always full",
                                   .n = 1000000,
                                   .entries = {&ours_window}};
