/* Laws of the options: what each text means, what is refused, and that a refusal changes nothing.
 * */
#include "hsuite.h"

#include "host/service/log.h"
#include "jimbot/host.h"

#include <stdio.h>
#include <unistd.h>

static jb_host_opts opts;
static jb_error err;

static int set(const char *key, const char *value)
{
    return jb_host_opts_set(&opts, key, value, &err);
}

static int load(const char *text)
{
    char path[] = "/tmp/jimbot-hconfig-XXXXXX";
    int fd = mkstemp(path);
    int rc;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    rc = jb_host_opts_load_file(&opts, path, &err);
    unlink(path);
    return rc;
}

/* Without a process for each test, what one set is there for the next. */
static void setup(void)
{
    static const char *const names[] = {"HTTP", "IDLE_TIMEOUT", "MAX_BODY_BYTES",
                                        "MAX_CONNECTIONS"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char variable[64];

        snprintf(variable, sizeof(variable), "JIMBOTD_%s", names[i]);
        unsetenv(variable);
    }
    jb_host_opts_init(&opts, sizeof(opts));
}

START_TEST(test_defaults_are_loopback_and_eight_mebibytes)
{
    ck_assert_str_eq(opts.http, "127.0.0.1:8080");
    ck_assert_uint_eq(opts.max_body_bytes, 8u << 20);
    ck_assert_uint_eq(opts.size, sizeof(opts));
}
END_TEST

START_TEST(test_a_switch_is_yes_or_no)
{
    ck_assert_uint_eq(opts.listen_public, 0);
    ck_assert_int_eq(set("listen_public", "yes"), 0);
    ck_assert_uint_eq(opts.listen_public, 1);
    ck_assert_int_eq(set("listen_public", "1"), JB_EINVAL);
    ck_assert_int_eq(set("listen_public", "no"), 0);
    ck_assert_uint_eq(opts.listen_public, 0);
}
END_TEST

START_TEST(test_bytes_take_units)
{
    ck_assert_int_eq(set("max_body_bytes", "2M"), 0);
    ck_assert_uint_eq(opts.max_body_bytes, 2u << 20);
    ck_assert_int_eq(set("max_body_bytes", "3k"), 0);
    ck_assert_uint_eq(opts.max_body_bytes, 3u << 10);
    ck_assert_int_eq(set("max_header_bytes", "4096"), 0);
    ck_assert_uint_eq(opts.max_header_bytes, 4096);
}
END_TEST

START_TEST(test_seconds_take_fractions)
{
    ck_assert_int_eq(set("idle_timeout", "0.25"), 0);
    ck_assert_uint_eq(opts.idle_timeout_ns, 250000000u);
}
END_TEST

START_TEST(test_levels_have_names)
{
    ck_assert_int_eq(set("log_level", "warn"), 0);
    ck_assert_uint_eq(opts.log_level, JB_LOG_WARN);
    ck_assert_int_eq(set("log_level", "loud"), JB_EINVAL);
    ck_assert_uint_eq(opts.log_level, JB_LOG_WARN);
}
END_TEST

START_TEST(test_what_is_no_number_is_refused_and_changes_nothing)
{
    static const char *const bad[] = {"",   "-1", "x", "1x", "1MM", "99999999999999999999",
                                      " 1", "1.5"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(set("max_body_bytes", bad[i]), JB_EINVAL);
        ck_assert_uint_eq(opts.max_body_bytes, 8u << 20);
    }
    ck_assert_int_eq(set("max_connections", "4294967296"), JB_EINVAL);
    ck_assert_int_eq(set("idle_timeout", "nan"), JB_EINVAL);
    ck_assert_int_eq(set("idle_timeout", "-1"), JB_EINVAL);
}
END_TEST

START_TEST(test_an_unknown_option_is_not_found)
{
    ck_assert_int_eq(set("max_bodies", "1"), JB_ENOENT);
    ck_assert_ptr_nonnull(strstr(err.msg, "max_bodies"));
}
END_TEST

START_TEST(test_a_file_sets_options)
{
    ck_assert_int_eq(load("; comment\n[jimbotd]\nhttp = 127.0.0.1:1\nmax_body_bytes = 1M\n"), 0);
    ck_assert_str_eq(opts.http, "127.0.0.1:1");
    ck_assert_uint_eq(opts.max_body_bytes, 1u << 20);
    ck_assert_int_eq(load("bus = other\n"), 0);
    ck_assert_str_eq(opts.bus_name, "other");
}
END_TEST

START_TEST(test_a_wrong_line_is_named_and_the_file_changes_nothing)
{
    ck_assert_int_eq(load("max_body_bytes = 1M\nidle_timeout = soon\n"), JB_EPARSE);
    ck_assert_ptr_nonnull(strstr(err.msg, ":2: "));
    ck_assert_ptr_nonnull(strstr(err.msg, "idle_timeout"));
    ck_assert_uint_eq(opts.max_body_bytes, 8u << 20);
    ck_assert_int_eq(load("nonsense\n"), JB_EPARSE);
    ck_assert_int_eq(load("[other]\nhttp = x\n"), JB_EPARSE);
}
END_TEST

START_TEST(test_a_missing_file_is_told)
{
    ck_assert_int_eq(jb_host_opts_load_file(&opts, "/nonexistent/x.ini", &err), JB_ESYS);
    ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/x.ini"));
}
END_TEST

START_TEST(test_the_environment_sets_options)
{
    setenv("JIMBOTD_MAX_BODY_BYTES", "3M", 1);
    setenv("JIMBOTD_HTTP", "", 1);
    ck_assert_int_eq(jb_host_opts_load_env(&opts, &err), 0);
    ck_assert_uint_eq(opts.max_body_bytes, 3u << 20);
    ck_assert_str_eq(opts.http, "127.0.0.1:8080");
    setenv("JIMBOTD_IDLE_TIMEOUT", "never", 1);
    setenv("JIMBOTD_MAX_BODY_BYTES", "4M", 1);
    ck_assert_int_eq(jb_host_opts_load_env(&opts, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "JIMBOTD_IDLE_TIMEOUT"));
    ck_assert_uint_eq(opts.max_body_bytes, 3u << 20);
}
END_TEST

START_TEST(test_every_key_can_be_listed_and_set)
{
    const char *name;
    const char *arg;
    const char *help;
    uint32_t n = 0;

    for (; jb_host_opts_key(n, &name, &arg, &help) == 0; n++) {
        const char *value = !*arg                         ? "yes"
                            : !strcmp(name, "log_level")  ? "debug"
                            : !strcmp(name, "log_format") ? "json"
                                                          : "4096";
        char text[256];
        char again[256];

        ck_assert_int_eq(set(name, value), 0);
        ck_assert_int_eq(jb_host_opts_get(&opts, name, text, sizeof(text)), 0);
        ck_assert_int_eq(set(name, text), 0);
        ck_assert_int_eq(jb_host_opts_get(&opts, name, again, sizeof(again)), 0);
        ck_assert_str_eq(text, again);
        ck_assert_int_eq(jb_host_opts_get(&opts, name, again, 2), JB_ETOOBIG);
    }
    ck_assert_uint_ge(n, 16);
    ck_assert_int_eq(jb_host_opts_get(&opts, "no_such", (char[8]){0}, 8), JB_ENOENT);
}
END_TEST

START_TEST(test_a_value_out_of_range_is_named)
{
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), 0);
    opts.max_connections = 0;
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "max_connections"));
    opts.max_connections = 1;
    memset(opts.bus_name, 'x', sizeof(opts.bus_name));
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "bus"));
}
END_TEST

START_TEST(test_a_key_without_its_certificate_is_refused)
{
    ck_assert_int_eq(set("tls_key", "key.pem"), 0);
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "tls_cert"));
    setup();
    ck_assert_int_eq(set("tls_client_ca", "ca.pem"), 0);
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), JB_EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "tls_client_ca"));
}
END_TEST

/* A program built with an older header has a struct that ends where that header's does. */
START_TEST(test_nothing_behind_a_shorter_struct_is_touched)
{
    const uint32_t size = offsetof(jb_host_opts, tls_cert);
    jb_host_opts *old = malloc(size);
    char value[256];

    jb_host_opts_init(old, size);
    ck_assert_int_eq(jb_host_opts_set(old, "tls_cert", "x", NULL), JB_ENOENT);
    ck_assert_int_eq(jb_host_opts_set(old, "max_hold", "1", NULL), JB_ENOENT);
    ck_assert_int_eq(jb_host_opts_get(old, "tls_cert", value, sizeof(value)), JB_ENOENT);
    ck_assert_int_eq(jb_host_opts_set(old, "unix", "last", NULL), 0);
    ck_assert_int_eq(jb_host_opts_get(old, "unix", value, sizeof(value)), 0);
    ck_assert_str_eq(value, "last");
    memcpy(&opts, old, size);
    memset((char *)&opts + size, 0x5a, sizeof(opts) - size);
    ck_assert_int_eq(load("max_body_bytes = 1M\n"), 0);
    setenv("JIMBOTD_MAX_CONNECTIONS", "7", 1);
    ck_assert_int_eq(jb_host_opts_load_env(&opts, &err), 0);
    ck_assert_uint_eq(opts.max_body_bytes, 1u << 20);
    ck_assert_uint_eq(opts.max_connections, 7);
    for (size_t i = size; i < sizeof(opts); i++)
        ck_assert_int_eq(((char *)&opts)[i], 0x5a);
    ck_assert_int_eq(load("tokens = file\n"), JB_EPARSE);
    free(old);
    opts.size = offsetof(jb_host_opts, bus) - 1;
    ck_assert_int_eq(jb_host_opts_check(&opts, &err), JB_EINVAL);
}
END_TEST

START_TEST(test_log_lines_are_one_line_and_sound)
{
    char buf[2048];
    size_t n =
        jb_host_log_line(JB_HOST_LOG_JSON, "p", JB_LOG_WARN, "a \"b\"\n\x01\xff", buf, sizeof(buf));

    ck_assert_uint_eq(n, strlen(buf));
    ck_assert_ptr_nonnull(
        strstr(buf, "\"level\":\"warn\",\"message\":\"a \\\"b\\\"\\u000a\\u0001?\"}\n"));
    n = jb_host_log_line(JB_HOST_LOG_TEXT, "p", JB_LOG_ERROR, "cut off", buf, 8);
    ck_assert_uint_eq(n, 7);
    ck_assert_uint_eq(strlen(buf), 7);
}
END_TEST

START_TEST(test_a_flood_of_lines_is_cut_and_counted)
{
    const uint64_t second = 1000000000;
    jbi_log log = {0};
    uint32_t n = 0;

    for (int i = 0; i < 10000; i++)
        n += jbi_log_take(&log, second);
    ck_assert_uint_eq(n, JBI_LOG_BURST);
    ck_assert_uint_eq(log.n_left_out, 10000 - JBI_LOG_BURST);
    for (int i = 0; i < 10000; i++)
        n += jbi_log_take(&log, second + (uint64_t)i * second / 1000);
    ck_assert_uint_eq(n, JBI_LOG_BURST + 10 * JBI_LOG_PER_S - 1);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_defaults_are_loopback_and_eight_mebibytes,
                                  test_a_switch_is_yes_or_no,
                                  test_bytes_take_units,
                                  test_seconds_take_fractions,
                                  test_levels_have_names,
                                  test_what_is_no_number_is_refused_and_changes_nothing,
                                  test_an_unknown_option_is_not_found,
                                  test_a_file_sets_options,
                                  test_a_wrong_line_is_named_and_the_file_changes_nothing,
                                  test_a_missing_file_is_told,
                                  test_the_environment_sets_options,
                                  test_every_key_can_be_listed_and_set,
                                  test_a_value_out_of_range_is_named,
                                  test_log_lines_are_one_line_and_sound,
                                  test_a_flood_of_lines_is_cut_and_counted,
                                  test_a_key_without_its_certificate_is_refused,
                                  test_nothing_behind_a_shorter_struct_is_touched};
    Suite *suite = suite_create("hconfig");
    TCase *tcase = tcase_create("hconfig");
    SRunner *runner = srunner_create(suite);
    int n_failed;

    tcase_add_checked_fixture(tcase, setup, NULL);
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    n_failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
