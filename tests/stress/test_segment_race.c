/*
 * Many processes that open, use, close and are killed at once under one name.
 *
 * Invariant tested: all who have the bus open at a time are on one bus; nobody is refused; after the
 * last one, whatever he died of, nothing is left that is in anybody's way.
 */
#include "integration/segment/segment.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { N_RACERS = 8, N_ROUNDS = 60 };

/* Shared with the children. */
struct arena {
    _Atomic uint32_t gate;
    _Atomic uint32_t n_open;
    _Atomic uint32_t n_checked;
};

static struct arena *arena;

static void arena_make(void)
{
    segment_dir_make();
    arena = mmap(NULL, sizeof *arena, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(arena, MAP_FAILED);
}

static void arena_drop(void)
{
    munmap(arena, sizeof *arena);
    segment_dir_drop();
}

static void wait_for(_Atomic uint32_t *word, uint32_t at_least)
{
    uint64_t limit_ns = jb_clock_now_ns() + UINT64_C(20000000000);

    while (atomic_load(word) < at_least) {
        if (jb_clock_now_ns() > limit_ns)
            _exit(9);
        usleep(50);
    }
}

/* Opens at the signal, publishes its number, stays until all have counted all. */
static void race(uint64_t racer, bool is_rough)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus;

    while (!atomic_load(&arena->gate))
        ;
    bus = segment_open(jb_bus_open, 0, 0);
    if (publish_number(bus, "race.x", racer, 8))
        _exit(2);
    atomic_fetch_add(&arena->n_open, 1);
    wait_for(&arena->n_open, N_RACERS);
    jb_bus_get_stats(bus, &stats);
    if (stats.n_published != N_RACERS || stats.n_peers != N_RACERS)
        _exit(3);
    atomic_fetch_add(&arena->n_checked, 1);
    wait_for(&arena->n_checked, N_RACERS);
    if (is_rough)
        raise(SIGKILL);
    jb_bus_close(bus);
    _exit(0);
}

/* From nothing, and from what a crash of all left: rounds in which all are killed come before
 * rounds in which all close, and those in which every other one does. */
START_TEST(test_eight_who_open_at_once_meet_on_one_bus)
{
    for (int round = 0; round < N_ROUNDS; round++) {
        pid_t pids[N_RACERS];

        memset(arena, 0, sizeof *arena);
        for (uint64_t i = 0; i < N_RACERS; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                race(i, round % 3 == 0 || (round % 3 == 2 && i % 2));
        }
        atomic_store(&arena->gate, 1);
        for (uint64_t i = 0; i < N_RACERS; i++) {
            bool is_rough = round % 3 == 0 || (round % 3 == 2 && i % 2);
            int status;

            waitpid(pids[i], &status, 0);
            ck_assert_msg(is_rough ? WIFSIGNALED(status) : status == 0, "round %d: status %x",
                          round, status);
        }
        if (round % 3 == 1)
            ck_assert_int_eq(segment_count(), 0);
    }
}
END_TEST

/* Comes and goes until killed; says how often it was refused by its exit status, which is none. */
static void come_and_go(void)
{
    for (uint64_t i = 0;; i++) {
        jb_bus *bus = segment_open(jb_bus_open, 0, 0);
        int rc = publish_number(bus, "go.x", i, 8);

        if (rc)
            _exit(2);
        jb_bus_close(bus);
        if (i % 16 == 15)
            (void)jb_bus_unlink("b", NULL);
        atomic_fetch_add(&arena->n_open, 1);
    }
}

START_TEST(test_coming_going_removing_and_dying_at_once_refuses_nobody)
{
    enum { N = 5, N_KILLS = 150 };
    uint64_t seed = 12345;
    pid_t pids[N];
    int status;

    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            come_and_go();
    }
    for (int kills = 0; kills < N_KILLS; kills++) {
        int i = kills % N;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        usleep((useconds_t)(seed >> 33) % 20000);
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%d: %x", kills, status);
        pids[i] = fork();
        if (pids[i] == 0)
            come_and_go();
    }
    for (int i = 0; i < N; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    ck_assert_uint_gt(atomic_load(&arena->n_open), 100);
    jb_bus_close(segment_open(jb_bus_open, 0, 0));
    ck_assert_int_eq(segment_count(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-race");
    TCase *tc = suite_case(suite, "race");

    tcase_add_checked_fixture(tc, arena_make, arena_drop);
    tcase_add_test(tc, test_eight_who_open_at_once_meet_on_one_bus);
    tcase_add_test(tc, test_coming_going_removing_and_dying_at_once_refuses_nobody);
    return suite_run(suite);
}
