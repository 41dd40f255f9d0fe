/*
 * What the bus tells of those who died: once each, by who found them, with the names they had.
 */
#include "support/suite.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static jb_bus *bus;
static jb_sub *told;
static char name[64];

static jb_bus *attach(const char *peer_name)
{
    jb_bus_opts opts;
    jb_bus *attached = NULL;

    jb_bus_opts_init(&opts, sizeof opts);
    opts.peer_name = peer_name;
    ck_assert_int_eq(jb_bus_attach(name, &opts, &attached, NULL), 0);
    return attached;
}

static void open_bus(void)
{
    jb_bus_opts opts;

    snprintf(name, sizeof name, "test-notice-%d", (int)getpid());
    jb_bus_unlink(name, NULL);
    jb_bus_opts_init(&opts, sizeof opts);
    opts.capacity_bytes = 65536;
    opts.max_subs = 4;
    ck_assert_int_eq(jb_bus_create(name, &opts, &bus, NULL), 0);
    told = subscribe(bus, "system.bus.>", JB_SUB_LATEST, JB_SUB_FROM_NOW);
}

static void close_bus(void)
{
    jb_sub_close(told);
    jb_bus_close(bus);
}

/* It subscribes n times and dies. */
static pid_t die_as(const char *peer_name, uint32_t policy, int n_subs)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        jb_bus *own = attach(peer_name);

        for (int i = 0; i < n_subs; i++)
            subscribe(own, "a.>", policy, JB_SUB_FROM_NOW);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    return pid;
}

/* The next notice is of that reader: `"pid":PID,"name":"NAME"`. */
static void assert_told(pid_t pid, const char *peer_name)
{
    char want[96], text[512];
    jb_event event;
    size_t len;

    ck_assert_int_eq(jb_sub_peek(told, &event, 1), 1);
    ck_assert_uint_eq(event.topic_id, topic_of(bus, "system.bus.reader_died"));
    ck_assert_uint_eq(event.priority, JB_PRIORITY_HIGH);
    snprintf(want, sizeof want, "\"pid\":%d,\"name\":\"%s\"", (int)pid, peer_name);
    len = event.len_bytes < sizeof text ? event.len_bytes : sizeof text;
    memcpy(text, event.payload, len);
    ck_assert_msg(memmem(text, len, want, strlen(want)), "no %s", want);
    ck_assert_int_eq(jb_sub_advance(told), 0);
}

static void assert_told_no_more(void)
{
    jb_event event;

    ck_assert_int_eq(jb_sub_peek(told, &event, 1), 0);
}

/* Its place among the peers is the newcomer's by the time that it is told. */
START_TEST(test_who_comes_in_tells_of_the_dead_reader_it_found)
{
    pid_t pid = die_as("trainer", JB_SUB_LOSSLESS, 1);
    jb_bus *newcomer;

    assert_told_no_more();
    newcomer = attach("newcomer");
    assert_told(pid, "trainer");
    assert_told_no_more();
    jb_bus_close(newcomer);
    jb_bus_close(attach("another"));
    assert_told_no_more();
}
END_TEST

START_TEST(test_all_that_died_before_are_told)
{
    jb_bus *first = attach("first");
    pid_t a = die_as("a", JB_SUB_LOSSLESS, 1);
    pid_t b;

    /* Who comes in buries all: only one can be left behind by now. */
    assert_told_no_more();
    b = die_as("b", JB_SUB_LOSSLESS, 2);
    assert_told(a, "a");
    jb_bus_close(attach("newcomer"));
    assert_told(b, "b");
    assert_told(b, "b");
    assert_told_no_more();
    jb_bus_close(first);
}
END_TEST

START_TEST(test_a_dead_reader_that_held_nobody_back_is_no_news)
{
    die_as("looker", JB_SUB_LATEST, 1);
    jb_bus_close(attach("newcomer"));
    assert_told_no_more();
}
END_TEST

START_TEST(test_who_needs_the_place_of_the_dead_tells_of_them)
{
    pid_t pid = die_as("crowd", JB_SUB_LOSSLESS, 3);
    jb_sub *sub = subscribe(bus, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);

    for (int i = 0; i < 3; i++)
        assert_told(pid, "crowd");
    assert_told_no_more();
    jb_sub_close(sub);
}
END_TEST

START_TEST(test_who_closes_is_not_told_of)
{
    jb_bus *other = attach("other");

    jb_sub_close(subscribe(other, "a.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW));
    jb_bus_close(other);
    jb_bus_close(attach("newcomer"));
    assert_told_no_more();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("notice");
    TCase *tc = suite_case(suite, "notice");

    tcase_add_checked_fixture(tc, open_bus, close_bus);
    tcase_add_test(tc, test_who_comes_in_tells_of_the_dead_reader_it_found);
    tcase_add_test(tc, test_all_that_died_before_are_told);
    tcase_add_test(tc, test_a_dead_reader_that_held_nobody_back_is_no_news);
    tcase_add_test(tc, test_who_needs_the_place_of_the_dead_tells_of_them);
    tcase_add_test(tc, test_who_closes_is_not_told_of);
    return suite_run(suite);
}
