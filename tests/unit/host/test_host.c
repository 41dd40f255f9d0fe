/* Laws of a host's life: on its own loop, on the caller's, without memory, and with its books
 * balanced. */
#include "hsuite.h"

#include "jimbot/host.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

/* An allocator that keeps books and can run out. */
typedef struct books {
    size_t n_bytes;    /* taken and not given back */
    atomic_int n_left; /* allocations it still grants; negative: any number */
} books;

static bool grants(books *b)
{
    if (b->n_left == 0)
        return false;
    b->n_left -= b->n_left > 0;
    return true;
}

static void *book_alloc(size_t n, void *ctx)
{
    books *b = ctx;

    if (!grants(b))
        return NULL;
    b->n_bytes += n;
    return malloc(n);
}

static void *book_realloc(void *p, size_t old, size_t n, void *ctx)
{
    books *b = ctx;

    if (!grants(b))
        return NULL;
    b->n_bytes += n - old;
    return realloc(p, n);
}

static void book_free(void *p, size_t n, void *ctx)
{
    books *b = ctx;

    b->n_bytes -= n;
    free(p);
}

static jb_host_opts opts;
static jb_bus *bus;
static books ledger;
static jb_alloc alloc = {book_alloc, book_realloc, book_free, &ledger};

static void setup(void)
{
    signal(SIGPIPE, SIG_IGN);
    ck_assert_int_eq(jb_bus_open(NULL, NULL, &bus, NULL), 0);
    ledger = (books){0, -1};
    jb_host_opts_init(&opts, sizeof(opts));
    jb_host_opts_set(&opts, "http", "127.0.0.1:0", NULL);
    opts.bus = bus;
    opts.alloc = &alloc;
}

static void teardown(void)
{
    jb_bus_close(bus);
}

static int connect_to(const jb_host *host)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const char *colon = strrchr(jb_host_address(host), ':');

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons((uint16_t)atoi(colon + 1));
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    return fd;
}

static void *run_thread(void *userdata)
{
    return (void *)(intptr_t)jb_host_run(userdata);
}

/* Send a request and read until the host closes. Returns the length. */
static size_t ask(int fd, const char *request, char *got, size_t cap)
{
    size_t n_got = 0;
    ssize_t n;

    ck_assert_int_eq(send(fd, request, strlen(request), 0), (ssize_t)strlen(request));
    while ((n = recv(fd, got + n_got, cap - 1 - n_got, 0)) > 0)
        n_got += (size_t)n;
    got[n_got] = '\0';
    close(fd);
    return n_got;
}

START_TEST(test_it_serves_on_its_own_loop_and_stops_from_another_thread)
{
    char got[4096];
    pthread_t thread;
    jb_host *host;
    void *rc;

    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, host), 0);
    ask(connect_to(host), "GET /health HTTP/1.0\r\n\r\n", got, sizeof(got));
    ck_assert_ptr_nonnull(strstr(got, "200 OK"));
    jb_host_stop(host);
    pthread_join(thread, &rc);
    ck_assert_ptr_null(rc);
    ck_assert(jb_host_is_stopped(host));
    ck_assert_int_eq(jb_host_run(host), JB_ESTATE);
    jb_host_destroy(host);
    ck_assert_uint_eq(ledger.n_bytes, 0);
}
END_TEST

START_TEST(test_it_lives_on_the_callers_loop)
{
    uv_loop_t loop;
    jb_host *host;

    uv_loop_init(&loop);
    ck_assert_int_eq(jb_host_create(&opts, &loop, &host, NULL), 0);
    ck_assert_int_eq(jb_host_run(host), JB_ESTATE);
    uv_run(&loop, UV_RUN_NOWAIT);
    ck_assert(!jb_host_is_stopped(host));
    jb_host_stop(host);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert(jb_host_is_stopped(host));
    jb_host_destroy(host);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_uint_eq(ledger.n_bytes, 0);
}
END_TEST

START_TEST(test_destroying_a_running_host_leaves_the_callers_loop_clean)
{
    uv_loop_t loop;
    jb_host *host;
    int fd;

    uv_loop_init(&loop);
    ck_assert_int_eq(jb_host_create(&opts, &loop, &host, NULL), 0);
    fd = connect_to(host);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    jb_host_destroy(host);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_uint_eq(ledger.n_bytes, 0);
    close(fd);
}
END_TEST

START_TEST(test_the_bus_may_be_closed_right_after_the_host)
{
    const char *watch = "GET /api/v1/stream?topic=%3E HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char got[512] = "";
    uv_loop_t loop;
    jb_host *host;
    int fd;

    uv_loop_init(&loop);
    ck_assert_int_eq(jb_host_create(&opts, &loop, &host, NULL), 0);
    fd = connect_to(host);
    ck_assert_int_eq(send(fd, watch, strlen(watch), 0), (ssize_t)strlen(watch));
    while (recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) < 0)
        uv_run(&loop, UV_RUN_ONCE);
    ck_assert_ptr_nonnull(strstr(got, "200 OK"));
    jb_host_destroy(host);
    jb_bus_close(bus);
    bus = NULL;
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    ck_assert_uint_eq(ledger.n_bytes, 0);
    close(fd);
}
END_TEST

START_TEST(test_a_file_in_the_place_of_the_unix_socket_stays)
{
    char path[] = "/tmp/jimbot-host-XXXXXX";
    jb_host *host = NULL;
    jb_error err;

    close(mkstemp(path));
    jb_host_opts_set(&opts, "unix", path, NULL);
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, &err), JB_ESYS);
    ck_assert_int_eq(err.os_errno, EADDRINUSE);
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(test_a_socket_left_behind_is_replaced_and_one_in_use_is_not)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char dir[] = "/tmp/jimbot-host-XXXXXX";
    jb_host *host = NULL;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    jb_host_opts_set(&opts, "unix", at.sun_path, NULL);
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), JB_ESYS);
    close(fd);
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), 0);
    jb_host_destroy(host);
    unlink(at.sun_path);
    ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(test_a_host_that_never_ran_can_be_destroyed)
{
    jb_host *host;

    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), 0);
    jb_host_destroy(host);
    jb_host_destroy(NULL);
    ck_assert_uint_eq(ledger.n_bytes, 0);
}
END_TEST

START_TEST(test_create_without_memory_fails_and_leaves_nothing)
{
    jb_host *host = NULL;
    jb_error err;
    int n = 0;
    int rc;

    do {
        ledger = (books){0, n++};
        jb_error_init(&err);
        rc = jb_host_create(&opts, NULL, &host, &err);
        if (rc < 0) {
            ck_assert_int_eq(rc, JB_ENOMEM);
            ck_assert_int_eq(err.code, JB_ENOMEM);
            ck_assert_ptr_null(host);
            ck_assert_uint_eq(ledger.n_bytes, 0);
        }
    } while (rc < 0 && n < 100);
    ck_assert_int_gt(n, 5);
    ck_assert_int_eq(rc, 0);
    jb_host_destroy(host);
}
END_TEST

START_TEST(test_options_out_of_range_are_refused)
{
    jb_host *host;

    opts.max_body_bytes = 0;
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), JB_EINVAL);
    setup();
    opts.max_connections = 0;
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), JB_EINVAL);
    setup();
    opts.idle_timeout_ns = 0;
    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), JB_EINVAL);
    ck_assert_int_eq(jb_host_create(&opts, NULL, NULL, NULL), JB_EINVAL);
}
END_TEST

START_TEST(test_a_busy_address_is_named_with_its_errno)
{
    jb_host *first;
    jb_host *second = NULL;
    jb_error err;

    ck_assert_int_eq(jb_host_create(&opts, NULL, &first, NULL), 0);
    snprintf(opts.http, sizeof(opts.http), "%s", jb_host_address(first));
    ck_assert_int_eq(jb_host_create(&opts, NULL, &second, &err), JB_ESYS);
    ck_assert_int_eq(err.os_errno, EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.msg, jb_host_address(first)));
    jb_host_destroy(first);
    ck_assert_uint_eq(ledger.n_bytes, 0);
}
END_TEST

START_TEST(test_memory_that_runs_out_in_service_never_crashes_it)
{
    const char *post = "POST /api/v1/events HTTP/1.0\r\nContent-Length: 12\r\n\r\n{\"type\":\"A\"}";
    char got[4096];
    pthread_t thread;
    jb_host *host;

    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), 0);
    pthread_create(&thread, NULL, run_thread, host);
    for (int n = 1; n < 12; n++) {
        ledger.n_left = n;
        ask(connect_to(host), post, got, sizeof(got));
    }
    ledger.n_left = -1;
    ask(connect_to(host), post, got, sizeof(got));
    ck_assert_ptr_nonnull(strstr(got, "200 OK"));
    jb_host_stop(host);
    pthread_join(thread, NULL);
    jb_host_destroy(host);
    ck_assert_uint_eq(ledger.n_bytes, 0);
}
END_TEST

START_TEST(test_a_connection_without_memory_waits_for_it)
{
    char got[4096];
    pthread_t thread;
    jb_host *host;
    int fd;

    ck_assert_int_eq(jb_host_create(&opts, NULL, &host, NULL), 0);
    ledger.n_left = 0;
    pthread_create(&thread, NULL, run_thread, host);
    fd = connect_to(host);
    usleep(100000);
    ledger.n_left = -1;
    ask(fd, "GET /health HTTP/1.0\r\n\r\n", got, sizeof(got));
    ck_assert_ptr_nonnull(strstr(got, "200 OK"));
    jb_host_stop(host);
    pthread_join(thread, NULL);
    jb_host_destroy(host);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_it_serves_on_its_own_loop_and_stops_from_another_thread,
                                  test_it_lives_on_the_callers_loop,
                                  test_destroying_a_running_host_leaves_the_callers_loop_clean,
                                  test_a_host_that_never_ran_can_be_destroyed,
                                  test_create_without_memory_fails_and_leaves_nothing,
                                  test_options_out_of_range_are_refused,
                                  test_a_busy_address_is_named_with_its_errno,
                                  test_memory_that_runs_out_in_service_never_crashes_it,
                                  test_a_connection_without_memory_waits_for_it,
                                  test_the_bus_may_be_closed_right_after_the_host,
                                  test_a_file_in_the_place_of_the_unix_socket_stays,
                                  test_a_socket_left_behind_is_replaced_and_one_in_use_is_not};
    Suite *suite = suite_create("host");
    TCase *tcase = tcase_create("host");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
