/* Laws of reading a request: cut anywhere it is the same request, and what is not one is refused.
 * */
#include "hsuite.h"

#include "host/http1/request.h"

#include <stdio.h>

static size_t n_buffered;
static jbi_request_limits limits = {512, 1024, 4096, &n_buffered};
static jbi_request request;

/* Feed a text in two pieces cut at `cut`; what is left after a failure is not fed. */
static enum jbi_request_progress feed_cut(const char *text, size_t cut)
{
    enum jbi_request_progress progress;
    size_t n_used;

    jbi_request_init(&request, &limits, &jbi_hmem_libc);
    progress = jbi_request_feed(&request, text, cut, &n_used);
    if (progress == JBI_REQUEST_MORE)
        progress = jbi_request_feed(&request, text + cut, strlen(text) - cut, &n_used);
    return progress;
}

static enum jbi_request_progress feed(const char *text)
{
    return feed_cut(text, strlen(text));
}

static void assert_refused(const char *text, unsigned status)
{
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        ck_assert_int_eq(feed_cut(text, cut), JBI_REQUEST_FAILED);
        ck_assert_uint_eq(request.status, status);
        jbi_request_fini(&request);
        ck_assert_uint_eq(n_buffered, 0);
    }
}

START_TEST(test_a_post_is_the_same_wherever_it_is_cut)
{
    const char *text = "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    jbi_call call;

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        ck_assert_int_eq(feed_cut(text, cut), JBI_REQUEST_DONE);
        jbi_request_target(&request, &call);
        ck_assert_uint_eq(call.path_bytes, 2);
        ck_assert_mem_eq(call.path, "/a", 2);
        ck_assert_uint_eq(call.query_bytes, 3);
        ck_assert_mem_eq(call.query, "b=c", 3);
        ck_assert_uint_eq(request.body_bytes, 5);
        ck_assert_mem_eq(request.body, "hello", 5);
        ck_assert(request.is_keep_alive);
        jbi_request_fini(&request);
        ck_assert_uint_eq(n_buffered, 0);
    }
}
END_TEST

START_TEST(test_a_chunked_body_is_the_same_wherever_it_is_cut)
{
    const char *text = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\n\r\n";

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        ck_assert_int_eq(feed_cut(text, cut), JBI_REQUEST_DONE);
        ck_assert_uint_eq(request.body_bytes, 5);
        ck_assert_mem_eq(request.body, "hello", 5);
        jbi_request_fini(&request);
    }
}
END_TEST

START_TEST(test_a_body_may_hold_any_byte)
{
    const char *text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\r\r\rx";

    for (size_t cut = 0; cut <= strlen(text); cut++) {
        ck_assert_int_eq(feed_cut(text, cut), JBI_REQUEST_DONE);
        ck_assert_mem_eq(request.body, "\r\r\rx", 4);
        jbi_request_fini(&request);
    }
}
END_TEST

START_TEST(test_a_carriage_return_alone_is_refused)
{
    assert_refused("GET / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 3\r\n\r\nabc", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: x\r\n\rGET /b HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}
END_TEST

START_TEST(test_two_lengths_are_refused)
{
    assert_refused(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400);
    assert_refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400);
}
END_TEST

START_TEST(test_http_1_0_has_no_transfer_encoding)
{
    assert_refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}
END_TEST

START_TEST(test_host_is_there_exactly_once)
{
    assert_refused("GET / HTTP/1.1\r\n\r\n", 400);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400);
    ck_assert_int_eq(feed("GET / HTTP/1.0\r\n\r\n"), JBI_REQUEST_DONE);
    ck_assert(!request.is_keep_alive);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_a_length_over_the_limit_is_413_before_the_body)
{
    ck_assert_int_eq(feed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n"),
                     JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 413);
    jbi_request_fini(&request);
    ck_assert_int_eq(feed("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n"),
                     JBI_REQUEST_MORE);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_chunks_over_the_limit_are_413)
{
    char text[2200];
    int n = snprintf(
        text, sizeof(text),
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n401\r\n%01025d", 0);

    ck_assert_int_gt(n, 1025);
    ck_assert_int_eq(feed(text), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 413);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_a_long_header_is_431_even_when_cut)
{
    char text[1024];

    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\nA: %0600d\r\n\r\n", 0);
    ck_assert_int_eq(feed(text), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 431);
    jbi_request_fini(&request);
    text[560] = '\0';
    ck_assert_int_eq(feed(text), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 431);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_endless_chunk_extensions_are_refused)
{
    char text[1200];

    snprintf(text, sizeof(text),
             "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;%0900d", 0);
    ck_assert_int_eq(feed(text), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 431);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_other_versions_are_505)
{
    ck_assert_int_eq(feed("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 505);
    jbi_request_fini(&request);
    ck_assert_int_eq(feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 505);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_an_offered_upgrade_is_ignored)
{
    ck_assert_int_eq(feed("GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\n\r\n"),
                     JBI_REQUEST_DONE);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_what_is_not_http_is_400)
{
    ck_assert_int_eq(feed("\x16\x03\x01\x02"), JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 400);
    jbi_request_fini(&request);
}
END_TEST

START_TEST(test_bodies_share_one_limit)
{
    size_t n_used;

    n_buffered = 4096 - 256;
    jbi_request_init(&request, &limits, &jbi_hmem_libc);
    ck_assert_int_eq(jbi_request_feed(&request,
                                      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
                                      48, &n_used),
                     JBI_REQUEST_FAILED);
    ck_assert_uint_eq(request.status, 503);
    jbi_request_fini(&request);
    ck_assert_uint_eq(n_buffered, 4096 - 256);
    n_buffered = 0;
}
END_TEST

/* Feed the begin of a body, lower both limits, feed the rest. */
static unsigned status_after_lowering(size_t max_body_bytes, size_t max_buffered_bytes)
{
    jbi_request_limits lower = limits;
    const char *text = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n";
    char piece[600];
    size_t n_used;

    memset(piece, 'x', sizeof(piece));
    n_buffered = 0;
    jbi_request_init(&request, &lower, &jbi_hmem_libc);
    jbi_request_feed(&request, text, strlen(text), &n_used);
    ck_assert_int_eq(jbi_request_feed(&request, piece, 500, &n_used), JBI_REQUEST_MORE);
    lower.max_body_bytes = max_body_bytes;
    lower.max_buffered_bytes = max_buffered_bytes;
    ck_assert_int_eq(jbi_request_feed(&request, piece, 400, &n_used), JBI_REQUEST_FAILED);
    jbi_request_fini(&request);
    ck_assert_uint_eq(n_buffered, 0);
    return request.status;
}

START_TEST(test_limits_lowered_in_a_body_hold)
{
    ck_assert_uint_eq(status_after_lowering(100, 4096), 413);
    ck_assert_uint_eq(status_after_lowering(1024, 100), 503);
}
END_TEST

HSUITE_MAIN("request", test_a_post_is_the_same_wherever_it_is_cut,
            test_a_chunked_body_is_the_same_wherever_it_is_cut, test_a_body_may_hold_any_byte,
            test_a_carriage_return_alone_is_refused, test_two_lengths_are_refused,
            test_host_is_there_exactly_once, test_a_length_over_the_limit_is_413_before_the_body,
            test_chunks_over_the_limit_are_413, test_a_long_header_is_431_even_when_cut,
            test_endless_chunk_extensions_are_refused, test_other_versions_are_505,
            test_an_offered_upgrade_is_ignored, test_what_is_not_http_is_400,
            test_bodies_share_one_limit, test_http_1_0_has_no_transfer_encoding,
            test_limits_lowered_in_a_body_hold)
