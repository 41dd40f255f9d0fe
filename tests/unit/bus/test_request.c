/*
 * Requests and replies: each request ends once, in the order of the clock, whatever the other side
 * does.
 */
#include "support/suite.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)

static jb_bus *bus;
static jb_requester *requester;
static jb_sub *responder;
static jb_event_head question;

static jb_requester *open_requester(jb_bus *on, uint32_t max_in_flight)
{
    jb_requester_opts opts;
    jb_requester *made = NULL;
    jb_error err;

    jb_requester_opts_init(&opts, sizeof opts);
    opts.max_in_flight = max_in_flight;
    ck_assert_msg(jb_requester_open(on, &opts, &made, &err) == 0, "%s", err.msg);
    return made;
}

static void set_up(void)
{
    bus = small_bus();
    requester = open_requester(bus, 8);
    responder = subscribe(bus, "ask.>", JB_SUB_LOSSLESS, JB_SUB_FROM_NOW);
    question = (jb_event_head){.topic_id = topic_of(bus, "ask.move"), .type = JB_EVENT_CUSTOM};
}

static void tear_down(void)
{
    jb_sub_close(responder);
    jb_requester_close(requester);
    jb_bus_close(bus);
}

static uint32_t ask(uint64_t number, uint64_t timeout_ns)
{
    uint32_t id = 0;

    ck_assert_int_eq(jb_request_send(requester, &question, &number, sizeof number, timeout_ns, &id),
                     0);
    ck_assert_uint_ne(id, 0);
    return id;
}

static void answer(const jb_event *request, uint64_t number)
{
    jb_event_head head = {.type = JB_EVENT_CUSTOM};

    ck_assert_int_eq(jb_reply(bus, request, &head, &number, sizeof number), 0);
}

/* Answer all requests that are there with a hundred more than they say. */
static int answer_all(void)
{
    jb_event events[64];
    int n = jb_sub_peek(responder, events, 64);

    for (int i = 0; i < n; i++)
        answer(&events[i], number_of(&events[i]) + 100);
    ck_assert_int_eq(jb_sub_advance(responder), 0);
    return n;
}

static void pause_ns(uint64_t ns)
{
    struct timespec time = {.tv_nsec = (long)ns};

    nanosleep(&time, NULL);
}

static jb_requester_stats stats_of(jb_requester *of)
{
    jb_requester_stats stats = {.size = sizeof stats};

    ck_assert_int_eq(jb_requester_get_stats(of, &stats), 0);
    ck_assert_uint_eq(stats.n_sent,
                      stats.n_replied + stats.n_timed_out + stats.n_cancelled + stats.n_in_flight);
    return stats;
}

START_TEST(test_a_reply_finds_its_request)
{
    jb_outcome out[4];
    uint32_t a = ask(1, 1000 * MS), b = ask(2, 1000 * MS);

    ck_assert_int_eq(jb_request_poll(requester, out, 4), 0);
    ck_assert_int_eq(answer_all(), 2);
    ck_assert_int_eq(jb_request_wait(requester, 0), 1);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 2);
    ck_assert_uint_eq(out[0].id, a);
    ck_assert_uint_eq(out[0].kind, JB_OUTCOME_REPLY);
    ck_assert_uint_eq(number_of(&out[0].reply), 101);
    ck_assert_uint_eq(out[1].id, b);
    ck_assert_uint_eq(number_of(&out[1].reply), 102);
    ck_assert_uint_eq(stats_of(requester).n_replied, 2);
}
END_TEST

START_TEST(test_a_request_to_nobody_times_out)
{
    jb_outcome out[4];
    uint32_t slow = ask(1, 4 * MS), fast = ask(2, 1 * MS);

    pause_ns(6 * MS);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 2);
    ck_assert_uint_eq(out[0].id, fast);
    ck_assert_uint_eq(out[0].kind, JB_OUTCOME_TIMEOUT);
    ck_assert_uint_eq(out[0].elapsed_ns, 1 * MS);
    ck_assert_uint_eq(out[1].id, slow);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 0);
    ck_assert_uint_eq(stats_of(requester).n_timed_out, 2);
}
END_TEST

START_TEST(test_a_late_reply_is_dropped_and_counted)
{
    jb_outcome out[4];

    (void)ask(1, 1 * MS);
    pause_ns(2 * MS);
    ck_assert_int_eq(answer_all(), 1);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 1);
    ck_assert_uint_eq(out[0].kind, JB_OUTCOME_TIMEOUT);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 0);
    ck_assert_uint_eq(stats_of(requester).n_late, 1);
    ck_assert_uint_eq(stats_of(requester).n_replied, 0);
}
END_TEST

START_TEST(test_a_late_poll_loses_no_reply_that_was_in_time)
{
    jb_outcome out[4];
    uint32_t id = ask(1, 20 * MS);

    ck_assert_int_eq(answer_all(), 1);
    pause_ns(30 * MS);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 1);
    ck_assert_uint_eq(out[0].id, id);
    ck_assert_uint_eq(out[0].kind, JB_OUTCOME_REPLY);
}
END_TEST

START_TEST(test_the_first_of_several_replies_counts)
{
    jb_event request;
    jb_outcome out[4];

    (void)ask(1, 1000 * MS);
    ck_assert_int_eq(jb_sub_peek(responder, &request, 1), 1);
    answer(&request, 7);
    answer(&request, 8);
    answer(&request, 9);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 1);
    ck_assert_uint_eq(number_of(&out[0].reply), 7);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 0);
    ck_assert_uint_eq(stats_of(requester).n_duplicate, 2);
}
END_TEST

START_TEST(test_a_cancelled_request_has_no_outcome)
{
    jb_outcome out[4];
    uint32_t id = ask(1, 1000 * MS);

    ck_assert_int_eq(jb_request_cancel(requester, id), 0);
    ck_assert_int_eq(jb_request_cancel(requester, id), JB_ENOENT);
    ck_assert_int_eq(answer_all(), 1);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 0);
    ck_assert_uint_eq(stats_of(requester).n_late, 1);
    ck_assert_uint_eq(stats_of(requester).n_cancelled, 1);
}
END_TEST

START_TEST(test_too_many_requests_are_refused_until_one_ends)
{
    jb_outcome out;
    uint32_t id = 0;

    for (uint64_t i = 0; i < 8; i++)
        (void)ask(i, 1000 * MS);
    ck_assert_int_eq(jb_request_send(requester, &question, NULL, 0, MS, &id), JB_ELIMIT);
    ck_assert_uint_eq(id, 0);
    ck_assert_int_eq(answer_all(), 8);
    ck_assert_int_eq(jb_request_poll(requester, &out, 1), 1);
    (void)ask(9, 1000 * MS);
    ck_assert_uint_eq(stats_of(requester).n_in_flight, 8);
}
END_TEST

START_TEST(test_outcomes_come_in_the_order_of_the_clock)
{
    jb_outcome out[8];
    uint32_t first = ask(1, 1 * MS), second = ask(2, 1000 * MS), third = ask(3, 300 * MS);
    jb_event events[3];

    pause_ns(3 * MS);
    ck_assert_int_eq(jb_sub_peek(responder, events, 3), 3);
    answer(&events[1], 0);
    pause_ns(300 * MS);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(jb_request_poll(requester, &out[i], 1), 1);
    ck_assert_uint_eq(out[0].id, first);
    ck_assert_uint_eq(out[1].id, second);
    ck_assert_uint_eq(out[1].kind, JB_OUTCOME_REPLY);
    ck_assert_uint_eq(out[2].id, third);
    ck_assert_uint_eq(out[2].kind, JB_OUTCOME_TIMEOUT);
}
END_TEST

START_TEST(test_two_requesters_of_a_handle_keep_theirs_apart)
{
    jb_requester *other = open_requester(bus, 8);
    jb_outcome out[4];
    uint64_t number = 5;
    uint32_t mine = ask(1, 1000 * MS), theirs = 0;

    ck_assert_int_eq(jb_request_send(other, &question, &number, sizeof number, 1000 * MS, &theirs),
                     0);
    ck_assert_int_eq(answer_all(), 2);
    ck_assert_int_eq(jb_request_poll(requester, out, 4), 1);
    ck_assert_uint_eq(out[0].id, mine);
    ck_assert_int_eq(jb_request_poll(other, out, 4), 1);
    ck_assert_uint_eq(out[0].id, theirs);
    ck_assert_uint_eq(number_of(&out[0].reply), 105);
    ck_assert_uint_eq(stats_of(other).n_unknown, 1);
    ck_assert_uint_eq(stats_of(requester).n_unknown, 1);
    jb_requester_close(other);
}
END_TEST

START_TEST(test_bad_arguments_are_refused)
{
    jb_event event = {0};
    jb_event_head nowhere = {.type = JB_EVENT_CUSTOM};
    jb_requester_opts opts;
    jb_requester *none = NULL;
    uint32_t id = 0;

    ck_assert_int_eq(jb_request_send(requester, &question, NULL, 0, 0, &id), JB_EINVAL);
    ck_assert_int_eq(jb_request_send(requester, &nowhere, NULL, 0, MS, &id), JB_EINVAL);
    ck_assert_uint_eq(stats_of(requester).n_in_flight, 0);
    ck_assert_int_eq(jb_reply(bus, &event, &question, NULL, 0), JB_EINVAL);
    jb_requester_opts_init(&opts, sizeof opts);
    opts.max_in_flight = JB_REQUESTS_MAX + 1;
    ck_assert_int_eq(jb_requester_open(bus, &opts, &none, NULL), JB_EINVAL);
    ck_assert_ptr_null(none);
    jb_requester_close(NULL);
}
END_TEST

/* Many in flight, answered in a shuffled order, some not at all; a lap of the ring and more. */
START_TEST(test_every_request_ends_once)
{
    jb_requester *many = open_requester(bus, 64);
    uint64_t n_sent = 0, n_replied = 0, n_timed_out = 0;
    jb_event events[64];
    jb_outcome out[5];
    int n;

    while (n_sent < 4000 || n_replied + n_timed_out < n_sent) {
        uint32_t id;

        while (n_sent < 4000 && jb_request_send(many, &question, &n_sent, sizeof n_sent,
                                                n_sent % 7 ? 60000 * MS : 1, &id) == 0)
            n_sent++;
        n = jb_sub_peek(responder, events, 64);
        pause_ns(MS / 20); /* the time of an event is good to two microseconds */
        for (int i = n - 1; i >= 0; i--)
            answer(&events[i], number_of(&events[i]));
        ck_assert_int_eq(jb_sub_advance(responder), 0);
        while ((n = jb_request_poll(many, out, 5)) > 0) {
            for (int i = 0; i < n; i++) {
                bool is_reply = out[i].kind == JB_OUTCOME_REPLY;

                ck_assert(!is_reply || number_of(&out[i].reply) % 7 != 0);
                n_replied += is_reply;
                n_timed_out += !is_reply;
            }
        }
        ck_assert_int_eq(n, 0);
    }
    ck_assert_uint_eq(n_timed_out, (4000 + 6) / 7);
    ck_assert_uint_eq(stats_of(many).n_late, n_timed_out);
    ck_assert_uint_eq(stats_of(many).n_unknown + stats_of(many).n_duplicate, 0);
    jb_requester_close(many);
}
END_TEST

/* A process that answers everything on the bus of that name, until it is killed. */
static pid_t start_responder(const char *name)
{
    pid_t pid = fork();

    if (pid == 0) {
        jb_event_head head = {.type = JB_EVENT_CUSTOM};
        jb_event event;
        jb_sub *sub;

        if (jb_bus_attach(name, NULL, &bus, NULL) ||
            jb_bus_subscribe(bus, ">", 1, NULL, &sub, NULL))
            _exit(1);
        while (jb_sub_wait(sub, UINT64_MAX) == 1) {
            if (jb_sub_peek(sub, &event, 1) == 1 && event.flags & JB_EVENT_IS_REQUEST)
                (void)jb_reply(bus, &event, &head, event.payload, event.len_bytes);
            jb_sub_advance(sub);
        }
        _exit(0);
    }
    return pid;
}

START_TEST(test_a_call_is_answered_by_another_process_until_it_dies)
{
    char name[64];
    jb_bus *named = NULL;
    jb_requester *caller;
    jb_event reply = {0};
    uint64_t number = 42;
    pid_t pid;
    int rc = JB_ETIMEDOUT;

    snprintf(name, sizeof name, "test-request-%d", (int)getpid());
    ck_assert_int_eq(jb_bus_create(name, NULL, &named, NULL), 0);
    caller = open_requester(named, 8);
    question.topic_id = topic_of(named, "ask.move");
    pid = start_responder(name);
    for (int i = 0; rc == JB_ETIMEDOUT && i < 100; i++)
        rc = jb_request_call(caller, &question, &number, sizeof number, 100 * MS, &reply);
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(number_of(&reply), 42);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ck_assert_int_eq(jb_request_call(caller, &question, &number, sizeof number, 20 * MS, &reply),
                     JB_ETIMEDOUT);
    ck_assert_uint_eq(stats_of(caller).n_in_flight, 0);
    jb_requester_close(caller);
    jb_bus_close(named);
}
END_TEST

START_TEST(test_a_call_beside_requests_in_flight_is_refused)
{
    jb_event reply;

    (void)ask(1, 1000 * MS);
    ck_assert_int_eq(jb_request_call(requester, &question, NULL, 0, MS, &reply), JB_ESTATE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("request");
    TCase *tc = suite_case(suite, "request");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_a_reply_finds_its_request);
    tcase_add_test(tc, test_a_request_to_nobody_times_out);
    tcase_add_test(tc, test_a_late_reply_is_dropped_and_counted);
    tcase_add_test(tc, test_a_late_poll_loses_no_reply_that_was_in_time);
    tcase_add_test(tc, test_the_first_of_several_replies_counts);
    tcase_add_test(tc, test_a_cancelled_request_has_no_outcome);
    tcase_add_test(tc, test_too_many_requests_are_refused_until_one_ends);
    tcase_add_test(tc, test_outcomes_come_in_the_order_of_the_clock);
    tcase_add_test(tc, test_two_requesters_of_a_handle_keep_theirs_apart);
    tcase_add_test(tc, test_bad_arguments_are_refused);
    tcase_add_test(tc, test_every_request_ends_once);
    tcase_add_test(tc, test_a_call_is_answered_by_another_process_until_it_dies);
    tcase_add_test(tc, test_a_call_beside_requests_in_flight_is_refused);
    return suite_run(suite);
}
