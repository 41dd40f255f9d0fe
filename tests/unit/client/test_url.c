/*
 * Addresses: what is understood, what is refused, and that options out of range are refused before
 * anything is begun.
 */
#include "client/url.h"
#include "jimbot/client.h"
#include "support/suite.h"

/* As long as the path of a socket may be. */
#define TEN        "0123456789"
#define SOCKET_107 "/tmp/xx" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static jbi_url parsed(const char *text)
{
    jbi_url url;
    jb_error err;

    jb_error_init(&err);
    ck_assert_msg(jbi_url_parse(text, &url, &err) == 0, "%s: %s", text, err.msg);
    return url;
}

START_TEST(test_parts_of_an_address)
{
    jbi_url url = parsed("ws://example.org:8080/some/path?x=1");

    ck_assert_uint_eq(url.scheme, JBI_URL_WS);
    ck_assert_str_eq(url.host, "example.org");
    ck_assert_str_eq(url.port, "8080");
    ck_assert_str_eq(url.path, "/some/path?x=1");
    ck_assert(!url.is_tls && !url.is_numeric);
}
END_TEST

START_TEST(test_what_is_left_out_has_a_default)
{
    jbi_url url = parsed("wss://[::1]/");

    ck_assert(url.is_tls && url.is_numeric);
    ck_assert_str_eq(url.host, "::1");
    ck_assert_str_eq(url.port, "443");
    ck_assert_str_eq(url.path, "/api/v1/ws");
    ck_assert_str_eq(parsed("http://127.0.0.1").port, "80");
    ck_assert(parsed("http://127.0.0.1").is_numeric);
}
END_TEST

START_TEST(test_names_and_paths)
{
    ck_assert_str_eq(parsed("unix:/run/jimbot/a b").host, "/run/jimbot/a b");
    ck_assert_str_eq(parsed("shm://jimbot").host, "jimbot");
    ck_assert_uint_eq(strlen(parsed("unix:" SOCKET_107).host), 107);
    ck_assert_uint_eq(parsed("shm://jimbot").scheme, JBI_URL_SHM);
}
END_TEST

static const char *const wrong[] = {
    "",
    "ws:",
    "ws://",
    "ws://:80",
    "ws://h:",
    "ws://h:0",
    "ws://h:x",
    "unix:",
    "unix:" SOCKET_107 "x", /* the system would cut it off */
    "ws://h:65536",
    "ws://user@h",
    "ws://[::1",
    "ws://[x]",
    "ws://[::1]8",
    "ws://h/a b",
    "ws://h\r\nX: y",
    "ws://h/\x7f",
    "ftp://h",
    "ws://h%41",
};

START_TEST(test_what_is_no_address_is_refused)
{
    jbi_url url;
    jb_error err;

    jb_error_init(&err);
    ck_assert_msg(jbi_url_parse(wrong[_i], &url, &err) == JB_EINVAL, "%s", wrong[_i]);
    ck_assert(err.msg[0] != '\0');
}
END_TEST

START_TEST(test_a_host_that_is_too_long_is_refused)
{
    char text[400] = "ws://";
    jbi_url url;

    memset(text + 5, 'a', 300);
    ck_assert_int_eq(jbi_url_parse(text, &url, NULL), JB_EINVAL);
}
END_TEST

static int open_with(const jb_client_opts *opts)
{
    jb_client *client = NULL;
    int rc = jb_client_open("ws://127.0.0.1:9", opts, &client, NULL);

    ck_assert_int_eq(jb_client_close(client, 0), 0);
    return rc;
}

START_TEST(test_options_out_of_range_are_refused)
{
    jb_client_opts good, opts;

    jb_client_opts_init(&good, sizeof(good));
    ck_assert_int_eq(open_with(&good), 0);
    opts = good;
    opts.buffer_bytes = 1000;
    ck_assert_int_eq(open_with(&opts), JB_EINVAL);
    opts = good;
    opts.flags = 1u << 30;
    ck_assert_int_eq(open_with(&opts), JB_EINVAL);
    opts = good;
    opts.token = "a b";
    ck_assert_int_eq(open_with(&opts), JB_EINVAL);
    opts = good;
    opts.tls_cert = "x.pem";
    ck_assert_int_eq(open_with(&opts), JB_EINVAL);
    opts = good;
    opts.backoff_max_ns = opts.backoff_min_ns - 1;
    ck_assert_int_eq(open_with(&opts), JB_EINVAL);
}
END_TEST

START_TEST(test_null_is_an_answer)
{
    jb_client_event event;
    int fd;

    ck_assert_int_eq(jb_client_open(NULL, NULL, NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_close(NULL, 0), 0);
    jb_client_sub_close(NULL);
    ck_assert_int_eq(jb_client_publish_encoded(NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_send_command(NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_get_state(NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_get_stats(NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_get_status(NULL, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_flush(NULL, 0), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_peek(NULL, &event, 1), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_advance(NULL), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_advance_n(NULL, 1), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_wait(NULL, 0), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_fd(NULL, &fd), JB_EINVAL);
    ck_assert_int_eq(jb_client_sub_is_live(NULL), JB_EINVAL);
}
END_TEST

/* Allocations that are left before the next one fails. */
static size_t n_left;

static void *scarce_alloc(size_t size_bytes, void *ctx)
{
    return n_left-- > 0 ? malloc(size_bytes) : NULL;
}

static void *scarce_realloc(void *ptr, size_t old_bytes, size_t size_bytes, void *ctx)
{
    return realloc(ptr, size_bytes);
}

static void scarce_free(void *ptr, size_t size_bytes, void *ctx)
{
    free(ptr);
}

START_TEST(test_each_allocation_may_fail)
{
    const jb_alloc scarce = {scarce_alloc, scarce_realloc, scarce_free, NULL};
    jb_client_opts opts;

    jb_client_opts_init(&opts, sizeof(opts));
    opts.alloc = &scarce;
    for (size_t n = 0; n < 3; n++) {
        n_left = n;
        ck_assert_int_eq(open_with(&opts), JB_ENOMEM);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("url");
    TCase *tc = suite_case(suite, "url");

    tcase_add_test(tc, test_parts_of_an_address);
    tcase_add_test(tc, test_what_is_left_out_has_a_default);
    tcase_add_test(tc, test_names_and_paths);
    tcase_add_loop_test(tc, test_what_is_no_address_is_refused, 0, sizeof(wrong) / sizeof(*wrong));
    tcase_add_test(tc, test_a_host_that_is_too_long_is_refused);
    tcase_add_test(tc, test_options_out_of_range_are_refused);
    tcase_add_test(tc, test_null_is_an_answer);
    tcase_add_test(tc, test_each_allocation_may_fail);
    return suite_run(suite);
}
