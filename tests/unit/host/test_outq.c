/* Laws of sending: all answers in one write, in order, and every owed byte counted. */
#include "hsuite.h"

#include "host/net/outq.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static uv_loop_t loop;
static uv_pipe_t pipe_end;
static int peer;
static jbi_outq out;
static int n_ended;

static void on_progress(int status, void *userdata)
{
    n_ended++;
}

/* A datagram-like pair: SOCK_SEQPACKET keeps each write as one message. */
static void setup(int type)
{
    int fds[2];

    ck_assert_int_eq(socketpair(AF_UNIX, type, 0, fds), 0);
    peer = fds[1];
    uv_loop_init(&loop);
    uv_pipe_init(&loop, &pipe_end, 0);
    ck_assert_int_eq(uv_pipe_open(&pipe_end, fds[0]), 0);
    n_ended = 0;
    jbi_outq_init(&out, (uv_stream_t *)&pipe_end, &jbi_hmem_libc, on_progress, NULL);
}

static void teardown(void)
{
    uv_close((uv_handle_t *)&pipe_end, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    jbi_outq_fini(&out);
    close(peer);
}

START_TEST(test_all_answers_go_out_in_one_write)
{
    char got[64];

    setup(SOCK_SEQPACKET);
    jbi_htext_str(&out.open, "one ");
    jbi_htext_str(&out.open, "two ");
    jbi_htext_str(&out.open, "three");
    ck_assert_int_eq(jbi_outq_flush(&out), 0);
    ck_assert_int_eq(recv(peer, got, sizeof(got), MSG_DONTWAIT), 13);
    ck_assert_mem_eq(got, "one two three", 13);
    ck_assert_uint_eq(jbi_outq_waiting(&out), 0);
    teardown();
}
END_TEST

START_TEST(test_flushing_nothing_writes_nothing)
{
    char got[8];

    setup(SOCK_SEQPACKET);
    ck_assert_int_eq(jbi_outq_flush(&out), 0);
    ck_assert_int_eq(recv(peer, got, sizeof(got), MSG_DONTWAIT), -1);
    teardown();
}
END_TEST

static size_t read_all(size_t n_want)
{
    static uint8_t got[1 << 16];
    size_t n_read = 0;

    while (n_read < n_want) {
        ssize_t n = recv(peer, got, sizeof(got), MSG_DONTWAIT);

        for (ssize_t i = 0; i < n; i++)
            ck_assert_uint_eq(got[i], (uint8_t)((n_read + (size_t)i) % 251));
        if (n > 0)
            n_read += (size_t)n;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    return n_read;
}

static void append(size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        char byte = (char)(i % 251);

        jbi_htext_add(&out.open, &byte, 1);
    }
}

START_TEST(test_what_the_socket_refuses_is_owed_and_comes_in_order)
{
    const size_t n = 1000000;

    setup(SOCK_STREAM);
    append(0, n);
    ck_assert_int_eq(jbi_outq_flush(&out), 0);
    ck_assert_uint_gt(jbi_outq_waiting(&out), 0);
    append(n, 1000);
    ck_assert_int_eq(jbi_outq_flush(&out), 0);
    ck_assert_uint_eq(read_all(n + 1000), n + 1000);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert_uint_eq(jbi_outq_waiting(&out), 0);
    ck_assert_uint_eq(jbi_outq_progress(&out), n + 1000);
    ck_assert_int_eq(n_ended, 2);
    teardown();
}
END_TEST

START_TEST(test_a_closed_peer_is_told)
{
    setup(SOCK_STREAM);
    close(peer);
    peer = open("/dev/null", O_RDONLY);
    jbi_htext_str(&out.open, "x");
    ck_assert_int_lt(jbi_outq_flush(&out), 0);
    teardown();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_all_answers_go_out_in_one_write, test_flushing_nothing_writes_nothing,
        test_what_the_socket_refuses_is_owed_and_comes_in_order, test_a_closed_peer_is_told};

    signal(SIGPIPE, SIG_IGN);
    return hsuite_run("outq", tests, sizeof(tests) / sizeof(tests[0]));
}
