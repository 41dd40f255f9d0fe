/*
 * What an event costs once everything is set up and nobody sleeps: no system call and no
 * allocation. Children work under a filter that ends them at the first system call; memory comes
 * from an allocator that counts.
 *
 * A child cannot report under that filter, so its exit code says what it found (enum verdict).
 */
#include "support/suite.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N_EVENTS = 100000, TURN = 1000, LEN = 64 };
enum verdict { GOOD, NO_FILTER, CALLED_THE_SYSTEM, ALLOCATED, WRONG_EVENT, FAILED };
enum baton { NOBODY, WRITER, READER };

/* Shared with the children. */
struct scene {
    _Atomic int system_call; /* that ended a child */
    _Atomic uint32_t baton;  /* whose turn it is */
};

static struct scene *scene;
static uint64_t n_allocs; /* of this process */
static char name[64];

/* Not _exit(): an AddressSanitizer build makes a system call before what does not return. */
static void end(enum verdict verdict)
{
    (void)syscall(SYS_exit_group, verdict);
}

static void *count_alloc(size_t size_bytes, void *ctx)
{
    n_allocs++;
    return malloc(size_bytes);
}

static void *count_realloc(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx)
{
    n_allocs++;
    return realloc(ptr, size_bytes);
}

static void count_free(void *ptr, size_t size_bytes, void *ctx)
{
    n_allocs++;
    free(ptr);
}

static const jb_alloc counting = {count_alloc, count_realloc, count_free, NULL};

static void note_system_call(int number, siginfo_t *info, void *context)
{
    atomic_store(&scene->system_call, info->si_syscall);
    end(CALLED_THE_SYSTEM);
}

/* From here on the process may only end. */
static void forbid_system_calls(void)
{
    struct sock_filter only_exit[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof only_exit / sizeof only_exit[0], only_exit};
    struct sigaction action = {.sa_sigaction = note_system_call, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &action, NULL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        end(NO_FILTER);
}

static int verdict_of(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

static int in_child(void (*work)(void))
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        work();
        end(GOOD);
    }
    return verdict_of(pid);
}

static void call_the_system(void)
{
    forbid_system_calls();
    (void)syscall(SYS_getppid);
}

static void read_the_clock(void)
{
    struct timespec at;

    forbid_system_calls();
    clock_gettime(CLOCK_MONOTONIC, &at);
}

/* The filter works here, and the clock needs no system call (under some hypervisors it does). */
static bool can_be_tested(void)
{
    int verdict = in_child(call_the_system);

    if (verdict == NO_FILTER) {
        puts("skipped: this kernel has no seccomp filter for us");
        return false;
    }
    ck_assert_int_eq(verdict, CALLED_THE_SYSTEM);
    ck_assert_int_eq(atomic_load(&scene->system_call), SYS_getppid);
    if (in_child(read_the_clock) == GOOD)
        return true;
    puts("skipped: here the clock is a system call");
    return false;
}

static void check_verdict(int verdict)
{
    ck_assert_msg(verdict != CALLED_THE_SYSTEM, "system call %d was made",
                  atomic_load(&scene->system_call));
    ck_assert_int_eq(verdict, GOOD);
}

static jb_bus *counted_bus(const char *of)
{
    jb_bus_opts opts;
    jb_bus *bus;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 262144; /* so that it wraps many times */
    opts.alloc = &counting;
    if (jb_bus_open(of, &opts, &bus, NULL))
        end(FAILED);
    return bus;
}

static jb_event_head head_on(jb_bus *bus)
{
    jb_event_head head = {.type = JB_EVENT_CUSTOM};

    if (jb_bus_topic(bus, "a.b", 3, &head.topic_id))
        end(FAILED);
    return head;
}

static void publish_copy(jb_bus *bus, const jb_event_head *head, uint64_t number)
{
    uint8_t bytes[LEN] = {0};

    memcpy(bytes, &number, sizeof number);
    if (jb_bus_publish(bus, head, bytes, sizeof bytes))
        end(FAILED);
}

static void publish_claimed(jb_bus *bus, const jb_event_head *head, uint64_t number)
{
    jb_claim claim;

    if (jb_bus_claim(bus, head, LEN, &claim))
        end(FAILED);
    memcpy(claim.payload, &number, sizeof number);
    if (jb_bus_commit(bus, &claim, LEN))
        end(FAILED);
}

static void publish_turn(jb_bus *bus, const jb_event_head *head, uint64_t first)
{
    jb_event_head heads[2] = {*head, *head};
    uint32_t lens[2] = {LEN, LEN};
    uint8_t *slots[2];
    jb_batch batch;

    for (uint64_t i = first; i < first + TURN - 2; i++)
        (i & 1 ? publish_copy : publish_claimed)(bus, head, i);
    if (jb_bus_claim_batch(bus, heads, lens, 2, slots, &batch))
        end(FAILED);
    for (uint64_t i = 0; i < 2; i++)
        memcpy(slots[i], &(uint64_t){first + TURN - 2 + i}, sizeof(uint64_t));
    if (jb_bus_commit_batch(bus, &batch))
        end(FAILED);
}

static void read_turn(jb_sub *sub, uint64_t first)
{
    jb_event events[TURN];
    uint64_t number;

    if (jb_sub_peek(sub, events, TURN) != TURN)
        end(WRONG_EVENT);
    for (uint64_t i = 0; i < TURN; i++) {
        memcpy(&number, events[i].payload, sizeof number);
        if (number != first + i)
            end(WRONG_EVENT);
    }
    jb_sub_advance(sub);
    if (jb_sub_peek(sub, events, TURN) != 0 || jb_sub_wait(sub, 0) != 0)
        end(WRONG_EVENT);
}

static jb_sub *sub_of(jb_bus *bus, uint32_t policy)
{
    jb_sub_opts opts;
    jb_sub *sub;

    jb_sub_opts_init(&opts, sizeof opts);
    opts.policy = policy;
    if (jb_bus_subscribe(bus, "a.>", 3, &opts, &sub, NULL))
        end(FAILED);
    return sub;
}

static void publish_and_read(void)
{
    jb_bus *bus = counted_bus(NULL);
    jb_sub *lossless = sub_of(bus, JB_SUB_LOSSLESS), *latest = sub_of(bus, JB_SUB_LATEST);
    jb_event_head head = head_on(bus);
    uint64_t n_before = n_allocs;

    forbid_system_calls();
    for (uint64_t i = 0; i < N_EVENTS; i += TURN) {
        publish_turn(bus, &head, i);
        read_turn(lossless, i);
        read_turn(latest, i);
    }
    if (n_allocs != n_before)
        end(ALLOCATED);
}

START_TEST(test_publish_and_poll_make_no_system_call_and_no_allocation)
{
    if (can_be_tested())
        check_verdict(in_child(publish_and_read));
}
END_TEST

static void await(enum baton whose)
{
    while (atomic_load(&scene->baton) != whose)
        ;
}

static void publish_by_turns(void)
{
    jb_bus *bus = counted_bus(name);
    jb_event_head head = head_on(bus);
    uint64_t n_before = n_allocs;

    forbid_system_calls();
    for (uint64_t i = 0; i < N_EVENTS; i += TURN) {
        await(WRITER);
        publish_turn(bus, &head, i);
        atomic_store(&scene->baton, READER);
    }
    if (n_allocs != n_before)
        end(ALLOCATED);
}

static void read_by_turns(void)
{
    jb_bus *bus = counted_bus(name);
    jb_sub *sub = sub_of(bus, JB_SUB_LOSSLESS);
    uint64_t n_before = n_allocs;

    forbid_system_calls();
    atomic_store(&scene->baton, WRITER);
    for (uint64_t i = 0; i < N_EVENTS; i += TURN) {
        await(READER);
        read_turn(sub, i);
        atomic_store(&scene->baton, WRITER);
    }
    if (n_allocs != n_before)
        end(ALLOCATED);
}

/* By turns, so that nobody meets the other's open claim: whether its owner lives is asked of the
 * kernel. */
START_TEST(test_two_processes_make_no_system_call_and_no_allocation)
{
    pid_t reader;
    int verdict;

    if (!can_be_tested())
        return;
    snprintf(name, sizeof name, "test-steady-%d", (int)getpid());
    reader = fork();
    ck_assert_int_ge(reader, 0);
    if (reader == 0) {
        read_by_turns();
        end(GOOD);
    }
    verdict = in_child(publish_by_turns);
    if (verdict != GOOD)
        kill(reader, SIGKILL); /* it waits for events that will not come */
    check_verdict(verdict);
    check_verdict(verdict_of(reader));
    jb_bus_unlink(name, NULL); /* nobody could close it */
}
END_TEST

static void make_scene(void)
{
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(scene, MAP_FAILED);
}

int main(void)
{
    Suite *suite = suite_create("steady");
    TCase *tc = suite_case(suite, "steady");

    tcase_add_checked_fixture(tc, make_scene, NULL);
    tcase_add_test(tc, test_publish_and_poll_make_no_system_call_and_no_allocation);
    tcase_add_test(tc, test_two_processes_make_no_system_call_and_no_allocation);
    return suite_run(suite);
}
