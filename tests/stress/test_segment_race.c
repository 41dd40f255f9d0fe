/*
 * Many processes that open, use, close and are killed at once under one name.
 *
 * Invariant tested: all who have the bus open at a time are on one bus; nobody is refused; after
 * the last one, whatever he died of, nothing is left that is in anybody's way.
 */
#include "integration/segment/segment.h"
#include "support/draw.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void keep_text(const jb_check_item *item, void *userdata)
{
    if (item->kind == JB_CHECK_FAULT)
        strcpy(userdata, item->text);
}

/* No death leaves what only damage could. */
static void nothing_is_damaged(void)
{
    jb_check check = {.size = sizeof check};
    char text[128] = "";
    jb_error err;
    int rc = jb_bus_check("b", keep_text, text, &check, &err);

    ck_assert_msg(rc == 0 || rc == JB_ENOENT, "%d faults or %s: %s", rc, jb_err_name(rc),
                  rc < 0 ? err.msg : text);
}

/* Called first by one who may be killed at any moment: half a message in the file from which check
 * reads its results would end the test. */
static void say_nothing_to_check(void)
{
    int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct stat file;

    for (int fd = 3; fd < 64; fd++) {
        if (fd != null_fd && fstat(fd, &file) == 0 && S_ISREG(file.st_mode))
            dup2(null_fd, fd);
    }
}

/* Opens at the signal, publishes its number, stays until all have counted all. */
static void race(uint64_t racer, bool is_rough)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_bus *bus;

    say_nothing_to_check();
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
        nothing_is_damaged();
        if (round % 3 == 1)
            ck_assert_int_eq(segment_count(), 0);
    }
}
END_TEST

/* Comes and goes until killed; says how often it was refused by its exit status, which is none. */
static void come_and_go(void)
{
    say_nothing_to_check();
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

        usleep(draw_below(&seed, 20000));
        kill(pids[i], SIGKILL);
        waitpid(pids[i], &status, 0);
        ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%d: %x", kills, status);
        nothing_is_damaged();
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

/* Publishes singly and in batches, and reads, until killed. */
static void publish_and_read(uint64_t me)
{
    uint32_t policy = me % 2 ? JB_SUB_LATEST : JB_SUB_LOSSLESS;
    jb_bus *bus;
    jb_sub *sub;
    jb_event_head heads[3] = {{.type = JB_EVENT_CUSTOM}};
    const void *payloads[3] = {"0123456789", "", "0123456789012345678901234567890123456789"};
    uint32_t lens_bytes[3] = {10, 0, 40};
    jb_event events[64];

    say_nothing_to_check();
    bus = segment_open(jb_bus_open, JB_BUS_KEEP, 0);
    sub = subscribe(bus, ">", policy, JB_SUB_FROM_OLDEST);
    heads[0].topic_id = topic_of(bus, "kill.x");
    heads[1] = heads[2] = heads[0];
    for (uint64_t i = 0;; i++) {
        int rc = i % 4 ? publish_number(bus, "kill.x", i, 8 + (i * 71 + me) % 3000)
                       : jb_bus_publish_batch(bus, heads, payloads, lens_bytes, 3);

        if ((rc && rc != JB_EAGAIN) || jb_sub_peek(sub, events, 64) < 0 || jb_sub_advance(sub))
            _exit(2);
        atomic_fetch_add(&arena->n_open, 1);
    }
}

/* One bus, on which everybody is killed again and again: each generation finds a sound one. */
START_TEST(test_whoever_dies_while_publishing_leaves_a_sound_bus)
{
    enum { N = 3, N_GENERATIONS = 100 };
    jb_check check = {.size = sizeof check};
    uint64_t seed = 4711;
    pid_t pids[N];
    int status;

    for (int round = 0; round < N_GENERATIONS; round++) {
        for (uint64_t i = 0; i < N; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                publish_and_read(i);
        }
        usleep(2000 + draw_below(&seed, 10000));
        for (int i = 0; i < N; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], &status, 0);
            ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "round %d: %x", round,
                          status);
        }
        nothing_is_damaged();
    }
    ck_assert_int_eq(jb_bus_check("b", NULL, NULL, &check, NULL), 0);
    ck_assert_uint_eq(check.is_walk_complete, 1);
    ck_assert_uint_eq(check.is_in_use, 0);
    ck_assert_uint_gt(check.n_before, 1000);
    ck_assert_int_eq(jb_bus_unlink("b", NULL), 0);
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
    tcase_add_test(tc, test_whoever_dies_while_publishing_leaves_a_sound_bus);
    return suite_run(suite);
}
