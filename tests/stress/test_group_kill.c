/*
 * Consumer groups whose workers die at any step, or are stopped.
 *
 * Invariant tested: every event is acknowledged by one worker; given to another only when the first
 * did not live to acknowledge it, or was too slow, and then its delivery count says so; and
 * whatever a worker acknowledged in time was whole when it did.
 */
#include "integration/segment/segment.h"
#include "support/step.h"

#include <sched.h>
#include <sys/mman.h>

enum { N_EVENTS = 40000, N_WORKERS = 5, N_KILLS = 80, N_STEPPED = 8, STEPS_MAX = 20000 };

/* What the workers tell of each event; they outlive nobody, so it lies in memory that is shared. */
struct told {
    _Atomic uint32_t n_tries; /* acknowledgements begun */
    _Atomic uint32_t n_acked; /* returned 0 */
    _Atomic uint64_t given;   /* bit n: with a delivery count of n */
    _Atomic uint32_t n_torn;  /* returned 0 though the bytes had changed */
};

static struct told *told;
static jb_bus *bus;
static uint64_t steps_left;

static void set_up(void)
{
    segment_dir_make();
    told = mmap(NULL, N_EVENTS * sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                -1, 0);
    ck_assert_ptr_ne(told, MAP_FAILED);
}

static void tear_down(void)
{
    segment_dir_drop();
}

static jb_worker *join(jb_bus *on, uint64_t ack_timeout_ns)
{
    jb_group_opts opts;
    jb_worker *worker = NULL;
    jb_error err;

    jb_group_opts_init(&opts, sizeof opts);
    opts.start = JB_SUB_FROM_OLDEST;
    opts.ack_timeout_ns = ack_timeout_ns;
    ck_assert_msg(jb_group_join(on, "g", "a.>", 3, &opts, &worker, &err) == 0, "%s", err.msg);
    return worker;
}

static jb_group_stats stats_of_group(void)
{
    jb_group_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_bus_group_stats(bus, 0, &stats), 0);
    return stats;
}

static size_t len_of(uint64_t number)
{
    return 8 + number * 37 % 500;
}

/* Their bytes may be torn; their sequence also counts what the bus says about its dead. */
static uint64_t place_of(const jb_event *event)
{
    ck_assert_uint_lt(event->key, N_EVENTS);
    return event->key;
}

static void tell_given(const jb_event *event)
{
    uint64_t bit = UINT64_C(1) << (event->n_deliveries & 63);

    ck_assert_uint_ge(event->n_deliveries, 1);
    ck_assert_uint_eq(atomic_fetch_or(&told[place_of(event)].given, bit) & bit, 0);
}

static int ack(jb_worker *worker, const jb_event *event)
{
    uint64_t number = place_of(event);
    bool was_whole;
    int rc;

    atomic_fetch_add(&told[number].n_tries, 1);
    was_whole = event->len_bytes == len_of(number) && number_of(event) == number;
    rc = jb_worker_ack(worker, event->sequence);
    if (rc == 0) {
        atomic_fetch_add(&told[number].n_acked, 1);
        atomic_fetch_add(&told[number].n_torn, !was_whole);
    }
    return rc;
}

static void die_in_time(const volatile void *address)
{
    (void)address;
    if (steps_left-- == 0)
        raise(SIGKILL);
}

/* What is killed at each of its steps. */
static int act_stepped(void)
{
    jb_bus *own = segment_open(jb_bus_attach, 0, 0);
    jb_event events[3];
    jb_worker *worker;
    int n;

    jbt_before = die_in_time;
    worker = join(own, 0);
    for (int round = 0; round < 2; round++) {
        n = jb_worker_take(worker, events, 3);
        for (int i = 0; i < n; i++)
            tell_given(&events[i]);
        ck_assert_int_eq(n, 3);
        ck_assert_int_eq(ack(worker, &events[0]), 0);
        /* Once: in the end nothing but leaving tells the next one to look for what is left. */
        ck_assert(round || jb_worker_nack(worker, events[1].sequence) == 0);
    }
    jb_worker_leave(worker);
    return 0;
}

/* The next worker gets all that is not acknowledged, and the books balance. */
static void finish(void)
{
    jb_worker *worker = join(bus, 0);
    jb_event events[N_STEPPED];
    jb_group_stats stats;
    int n;

    while ((n = jb_worker_take(worker, events, N_STEPPED)) > 0) {
        for (int i = 0; i < n; i++) {
            tell_given(&events[i]);
            ck_assert(told[number_of(&events[i])].n_acked == 0);
            ck_assert_int_eq(ack(worker, &events[i]), 0);
        }
    }
    ck_assert_int_eq(n, 0);
    stats = stats_of_group();
    ck_assert_uint_eq(stats.n_acked, N_STEPPED);
    ck_assert_uint_eq(stats.n_pending + stats.n_lost, 0);
    ck_assert_uint_eq(stats.n_workers, 1);
    ck_assert_uint_eq(stats.is_holding, 1);
    for (int i = 0; i < N_STEPPED; i++)
        ck_assert(told[i].n_tries > 0 && told[i].n_acked <= 1);
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(publish_number(bus, "a.b", 0, 1000), 0);
        ck_assert_int_eq(jb_worker_take(worker, events, 1), 1);
        ck_assert_int_eq(jb_worker_ack_all(worker), 1);
    }
    jb_worker_leave(worker);
    ck_assert_int_eq(jb_group_remove(bus, "g"), 0);
}

/* The first steps make a group, 1024 of them alike; of the rest none is left out. */
START_TEST(test_a_worker_may_die_at_any_step)
{
    uint64_t stride = _i == 0 ? 23 : 1;
    int rc = 128 + SIGKILL;

    for (uint64_t n = 0; rc == 128 + SIGKILL; n += stride) {
        memset(told, 0, N_STEPPED * sizeof *told);
        bus = segment_open(jb_bus_create, 0, 0);
        for (uint64_t i = 0; i < N_STEPPED; i++)
            ck_assert_int_eq(publish_keyed(bus, "a.b", (uint32_t)i, i, len_of(i)), 0);
        if (_i == 1)
            jb_worker_leave(join(bus, 0));
        steps_left = n;
        rc = segment_child(act_stepped);
        finish();
        jb_bus_close(bus);
        ck_assert_uint_lt(n, STEPS_MAX);
    }
    ck_assert_int_eq(rc, 0);
}
END_TEST

static int act_rejoin(void)
{
    jb_bus *own = segment_open(jb_bus_attach, 0, 0);
    jb_event event;

    jbt_before = die_in_time;
    return jb_worker_take(join(own, 0), &event, 1) != 1;
}

/* A group without workers loses what it had and what it had not come to. Whoever dies counting that
 * leaves the rest of it to the next one. */
START_TEST(test_a_worker_may_die_while_it_counts_what_was_lost)
{
    enum { N_LOST = 3, N_ALL = 150 };
    int rc = 128 + SIGKILL;

    for (uint64_t n = 0; rc == 128 + SIGKILL; n++) {
        jb_worker *worker;
        jb_event events[8];
        jb_bus_stats all = {.size = sizeof all};
        jb_group_stats stats;
        int n_taken;

        bus = segment_open(jb_bus_create, 0, 0);
        worker = join(bus, 0);
        for (uint64_t i = 0; i < N_LOST; i++)
            ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
        ck_assert_int_eq(jb_worker_take(worker, events, N_LOST), N_LOST);
        jb_worker_leave(worker);
        for (uint64_t i = N_LOST; i < N_ALL; i++)
            ck_assert_int_eq(publish_number(bus, "a.b", i, 1000), 0);
        steps_left = n;
        rc = segment_child(act_rejoin);
        worker = join(bus, 0);
        while ((n_taken = jb_worker_take(worker, events, 8)) > 0)
            ck_assert_int_eq(jb_worker_ack_all(worker), n_taken);
        ck_assert_msg(n_taken == 0, "step %llu: %s", (unsigned long long)n, jb_strerror(n_taken));
        stats = stats_of_group();
        ck_assert(stats.n_lost == N_LOST && stats.n_pending == 0);
        ck_assert_int_eq(jb_bus_get_stats(bus, &all), 0);
        ck_assert_uint_eq(stats.n_delivered + stats.n_filtered + stats.n_missed, all.n_published);
        jb_worker_leave(worker);
        jb_bus_close(bus);
        ck_assert_uint_lt(n, STEPS_MAX);
    }
    ck_assert_int_eq(rc, 0);
}
END_TEST

static _Noreturn void work(uint64_t ack_timeout_ns)
{
    jb_bus *own = segment_open(jb_bus_attach, 0, 0);
    jb_worker *worker = join(own, ack_timeout_ns);
    jb_event events[16];

    for (uint32_t turn = (uint32_t)getpid();; turn++) {
        int n = jb_worker_take(worker, events, 1 + turn % 16);

        ck_assert_int_ge(n, 0);
        for (int i = 0; i < n; i++)
            tell_given(&events[i]);
        for (int i = n - 1; i >= 0; i--) {
            int rc = turn % 7 == 0 && i == 0 ? jb_worker_nack(worker, events[i].sequence)
                                             : ack(worker, &events[i]);

            ck_assert(rc == 0 || (rc == JB_ETIMEDOUT && ack_timeout_ns));
        }
        if (n == 0)
            ck_assert_int_ge(jb_worker_wait(worker, 1000000), 0);
    }
}

static pid_t start(uint64_t ack_timeout_ns)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        end_with_parent();
        work(ack_timeout_ns);
    }
    return pid;
}

static void end(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a worker failed: %d",
                  status);
}

/* Publishes everything, while once a few milliseconds one of the workers is disturbed. Returns how
 * many were killed. */
static uint32_t publish_under_fire(pid_t *pids, uint64_t ack_timeout_ns)
{
    uint64_t next_ns = 0, limit_ns = jb_clock_now_ns() + UINT64_C(50000000000);
    uint32_t n_killed = 0, n_stopped = 0;

    for (uint64_t i = 0; i < N_EVENTS || stats_of_group().n_acked < N_EVENTS;) {
        uint64_t now = jb_clock_now_ns();
        pid_t *victim = &pids[(n_killed + n_stopped) % N_WORKERS];

        ck_assert_uint_lt(now, limit_ns);
        if (now >= next_ns && n_killed < N_KILLS) {
            next_ns = now + 1000000 + n_killed * 7919 % 5000000;
            if (ack_timeout_ns && n_stopped < n_killed) {
                kill(*victim, SIGSTOP);
                usleep(1000 + (useconds_t)(ack_timeout_ns / 500));
                kill(*victim, SIGCONT);
                n_stopped++;
            } else {
                end(*victim);
                *victim = start(ack_timeout_ns);
                n_killed++;
            }
        }
        if (i < N_EVENTS && publish_keyed(bus, "a.b", (uint32_t)i, i, len_of(i)) == 0)
            i++;
        else
            sched_yield();
    }
    return n_killed;
}

START_TEST(test_killed_and_stopped_workers_lose_and_repeat_nothing)
{
    uint64_t ack_timeout_ns = _i ? UINT64_C(5000000) : 0;
    pid_t pids[N_WORKERS];
    uint32_t n_killed, n_unheard = 0;
    jb_group_stats stats;

    bus = segment_open(jb_bus_create, 0, 0);
    jb_worker_leave(join(bus, ack_timeout_ns));
    for (int i = 0; i < N_WORKERS; i++)
        pids[i] = start(ack_timeout_ns);
    /* Without workers a group holds nobody back, and misses what is overwritten. */
    while (stats_of_group().n_workers < N_WORKERS)
        sched_yield();
    n_killed = publish_under_fire(pids, ack_timeout_ns);
    for (int i = 0; i < N_WORKERS; i++)
        end(pids[i]);
    for (uint32_t i = 0; i < N_EVENTS; i++) {
        ck_assert_uint_ge(told[i].n_tries, 1);
        ck_assert_uint_le(told[i].n_acked, 1);
        ck_assert_uint_eq(told[i].n_torn, 0);
        n_unheard += told[i].n_acked == 0;
    }
    /* Of those who died between acknowledging and telling us. */
    ck_assert_uint_le(n_unheard, n_killed + N_WORKERS);
    ck_assert_uint_gt(n_killed, 3);
    stats = stats_of_group();
    ck_assert_uint_eq(stats.n_acked, N_EVENTS);
    ck_assert_uint_eq(stats.n_lost + stats.n_missed + stats.n_pending, 0);
    ck_assert_uint_gt(stats.n_redelivered, 0);
    jb_bus_close(bus);
}
END_TEST

/* Its acknowledgement comes when another has done the work; 0 when it is told so. */
static int act_late(void)
{
    jb_bus *own = segment_open(jb_bus_attach, 0, 0);
    jb_worker *worker = join(own, 0);
    jb_event event;

    ck_assert_int_eq(jb_worker_take(worker, &event, 1), 1);
    raise(SIGSTOP);
    ck_assert_int_eq(jb_worker_ack(worker, event.sequence), JB_ETIMEDOUT);
    ck_assert_int_eq(jb_worker_ack(worker, event.sequence), JB_ESTATE);
    jb_worker_leave(worker);
    jb_bus_close(own);
    return 0;
}

START_TEST(test_a_stopped_worker_is_late_and_harms_nobody)
{
    jb_worker *worker;
    jb_event event;
    int status;
    pid_t pid;

    bus = segment_open(jb_bus_create, 0, 0);
    worker = join(bus, 20000000);
    ck_assert_int_eq(publish_number(bus, "a.b", 7, 8), 0);
    pid = fork();
    if (pid == 0)
        _exit(act_late());
    ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
    ck_assert(WIFSTOPPED(status));
    ck_assert_int_eq(jb_worker_wait(worker, UINT64_C(5000000000)), 1);
    ck_assert_int_eq(jb_worker_take(worker, &event, 1), 1);
    ck_assert_uint_eq(event.n_deliveries, 2);
    ck_assert_uint_eq(number_of(&event), 7);
    ck_assert_uint_eq(stats_of_group().n_workers, 2);
    if (_i == 1)
        ck_assert_int_eq(jb_worker_ack(worker, event.sequence), 0);
    kill(pid, SIGCONT);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    ck_assert_uint_eq(stats_of_group().n_acked, (uint64_t)_i);
    ck_assert_int_eq(jb_worker_ack(worker, event.sequence), _i ? JB_ESTATE : 0);
    ck_assert_uint_eq(stats_of_group().n_acked, 1);
    jb_worker_leave(worker);
    jb_bus_close(bus);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group-kill");
    TCase *tc = suite_case(suite, "group-kill");

    tcase_set_timeout(tc, 110);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_loop_test(tc, test_a_worker_may_die_at_any_step, 0, 2);
    tcase_add_test(tc, test_a_worker_may_die_while_it_counts_what_was_lost);
    tcase_add_loop_test(tc, test_killed_and_stopped_workers_lose_and_repeat_nothing, 0, 2);
    tcase_add_loop_test(tc, test_a_stopped_worker_is_late_and_harms_nobody, 0, 2);
    return suite_run(suite);
}
