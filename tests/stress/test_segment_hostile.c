/*
 * A process that writes anything anywhere into a bus while others use it.
 *
 * Invariant tested: who uses it gets events or errors, in finite time, and no signal ends it.
 * Events lie within the segment or its owner's memory whatever their lengths are said to be: all of
 * their bytes are read.
 */
#include "integration/segment/segment.h"
#include "support/draw.h"

#include <sys/mman.h>

enum { N_ROUNDS = 40, ROUND_NS = 40000000, LIMIT_S = 20 };

static uint64_t seed;

/* Words near what is there do more harm than noise. Everything but the header, which only those who
 * come in read. */
static void scribble(uint64_t round)
{
    struct stat st;
    int fd = open(segment_path, O_RDWR);
    volatile uint64_t *words;

    if (fd < 0 || fstat(fd, &st))
        _exit(1);
    words = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (words == MAP_FAILED)
        _exit(1);
    seed = round * 0x9e3779b97f4a7c15u + 1;
    for (;;) {
        uint64_t r = draw64(&seed);
        size_t n_words = (size_t)st.st_size / 8, at = 512 + r % (n_words - 512);
        uint64_t old = words[at];

        switch (r >> 60) {
        case 0:
            words[at] = draw64(&seed);
            break;
        case 1:
            words[at] = UINT64_MAX;
            break;
        case 2:
            words[at] = 0;
            break;
        case 3:
            words[at] = words[512 + draw64(&seed) % (n_words - 512)];
            break;
        default:
            words[at] = old ^ UINT64_C(1) << (r >> 32 & 63);
        }
        for (volatile int pause = 0; pause < (int)(round % 7 * 40); pause++)
            ;
    }
}

static void drain(jb_sub *sub)
{
    volatile uint8_t sum = 0;
    jb_event events[32];
    int n = jb_sub_peek(sub, events, 32);

    for (int i = 0; i < n; i++) {
        for (uint32_t at = 0; at < events[i].len_bytes; at++)
            sum = (uint8_t)(sum + events[i].payload[at]);
    }
    (void)jb_sub_advance(sub);
    (void)jb_sub_wait(sub, 1000);
}

static void use(jb_bus *bus)
{
    jb_bus_stats stats = {.size = sizeof stats};
    jb_check check = {.size = sizeof check};
    jb_event_head head = {.topic_id = 1, .type = JB_EVENT_CUSTOM};
    uint64_t end_ns = jb_clock_now_ns() + ROUND_NS;
    static uint8_t bytes[9000];
    const char *topic;

    while (jb_clock_now_ns() < end_ns) {
        jb_sub *subs[2] = {NULL};
        jb_sub_opts opts;

        for (uint32_t i = 0; i < 2; i++) {
            jb_sub_opts_init(&opts, sizeof opts);
            opts.policy = i ? JB_SUB_LATEST : JB_SUB_LOSSLESS;
            opts.start = JB_SUB_FROM_OLDEST;
            (void)jb_bus_subscribe(bus, ">", 1, &opts, &subs[i], NULL);
        }
        for (uint32_t i = 0; i < 40; i++) {
            head.topic_id = 1 + i % 5;
            (void)jb_bus_publish(bus, &head, bytes, i * i * 5);
            (void)jb_bus_topic(bus, "new.topic", 9, &head.topic_id);
            (void)jb_bus_topic_name(bus, head.topic_id, &topic);
            for (int k = 0; k < 2; k++) {
                if (subs[k])
                    drain(subs[k]);
            }
        }
        (void)jb_bus_wait_space(bus, 9000, 100000);
        (void)jb_bus_get_stats(bus, &stats);
        (void)jb_bus_check("b", NULL, NULL, &check, NULL);
        for (int k = 0; k < 2; k++)
            jb_sub_close(subs[k]);
    }
}

static int use_and_leave(void)
{
    jb_bus *bus = NULL;

    alarm(LIMIT_S);
    if (jb_bus_attach("b", NULL, &bus, NULL) == 0)
        use(bus);
    jb_bus_close(bus);
    return 0;
}

START_TEST(test_who_uses_a_bus_that_is_scribbled_on_gets_errors_and_no_signal)
{
    for (uint64_t round = 0; round < N_ROUNDS; round++) {
        jb_bus *bus = segment_open(jb_bus_create, JB_BUS_KEEP, 0);
        int status;
        pid_t pid;

        for (uint64_t i = 0; i < 300; i++)
            publish_number(bus, "sound.x", i, 8 + i * 7 % 600);
        pid = fork();
        if (pid == 0)
            scribble(round);
        ck_assert_int_eq(segment_child(use_and_leave), 0);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        jb_bus_close(bus);
        ck_assert_int_eq(jb_bus_unlink("b", NULL), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment-hostile");
    TCase *tc = suite_case(suite, "hostile");

    tcase_add_checked_fixture(tc, segment_dir_make, segment_dir_drop);
    tcase_add_test(tc, test_who_uses_a_bus_that_is_scribbled_on_gets_errors_and_no_signal);
    return suite_run(suite);
}
