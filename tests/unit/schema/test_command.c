/*
 * Commands: the same bytes as the encoder's, and nothing but commands.
 */
#include "encode.h"

static jb_command command(const char *name, const char *id, uint32_t n_params)
{
    jb_command c = {.n_params = n_params};

    strcpy(c.name, name);
    strcpy(c.id, id);
    for (uint32_t i = 0; i < n_params; i++)
        strcpy(c.params[i], i == 0 ? "3" : "caf\xc3\xa9");
    return c;
}

START_TEST(test_command_bytes_are_the_encoders)
{
    jb_command c = command("select_card", "r-1", 2), back;
    uint8_t buf[1024];
    int64_t n = jb_command_encode(&c, buf, sizeof buf);

    ck_assert_int_eq(
        encode("{\"type\":\"COMMAND\",\"payload\":{\"name\":\"select_card\",\"params\":["
               "\"3\",\"caf\xc3\xa9\"],\"id\":\"r-1\"}}"),
        0);
    ck_assert_int_eq(n, made.len_bytes);
    ck_assert_mem_eq(buf, made.data, (size_t)n);
    ck_assert_str_eq(made.topic, "command.select_card");
    ck_assert_int_eq(jb_command_decode(buf, (size_t)n, &back), 0);
    ck_assert_mem_eq(&back, &c, sizeof c);
    ck_assert_int_eq(jb_command_encode(&c, buf, (size_t)n - 1), JB_ENOBUFS);
    ck_assert_int_eq(jb_command_encode(&c, buf, (size_t)n), n);
}
END_TEST

START_TEST(test_largest_command_fits_1024_bytes)
{
    jb_command c = command("x", "", 8), back;
    uint8_t buf[1024];
    int64_t n;

    memset(c.name, 'n', sizeof c.name - 1);
    memset(c.id, 'i', sizeof c.id - 1);
    for (int i = 0; i < 8; i++)
        memset(c.params[i], 'p', sizeof c.params[i] - 1), c.params[i][47] = '\0';
    n = jb_command_encode(&c, buf, sizeof buf);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(jb_command_decode(buf, (size_t)n, &back), 0);
    ck_assert_mem_eq(&back, &c, sizeof c);
}
END_TEST

START_TEST(test_commands_with_forbidden_text)
{
    uint8_t buf[1024];
    jb_command c = command("play hand", "", 0);

    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
    c = command("", "", 0);
    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
    c = command("a", "", 1);
    strcpy(c.params[0], "1,2");
    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
    strcpy(c.params[0], "1\n");
    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
    strcpy(c.params[0], "\xff");
    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
    c.n_params = 9;
    ck_assert_int_eq(jb_command_encode(&c, buf, sizeof buf), JB_EINVAL);
}
END_TEST

START_TEST(test_events_that_are_no_command)
{
    jb_command back;

    ck_assert_int_eq(jb_command_decode("\x08", 1, &back), JB_EPROTO);
    ck_assert_int_eq(encode("{\"type\":\"HEARTBEAT\"}"), 0);
    ck_assert_int_eq(jb_command_decode(made.data, made.len_bytes, &back), JB_EEVENT);
    ck_assert_int_eq(encode("{\"type\":\"COMMAND\",\"payload\":{\"name\":\"a:b\"}}"), 0);
    ck_assert_int_eq(jb_command_decode(made.data, made.len_bytes, &back), JB_EEVENT);
    ck_assert_int_eq(
        encode("{\"type\":\"COMMAND\",\"payload\":{\"name\":\"a\",\"params\":[\"1\",\"2\","
               "\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}}"),
        0);
    ck_assert_int_eq(jb_command_decode(made.data, made.len_bytes, &back), JB_EEVENT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("command");
    TCase *tc = suite_case(s, "command");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_test(tc, test_command_bytes_are_the_encoders);
    tcase_add_test(tc, test_largest_command_fits_1024_bytes);
    tcase_add_test(tc, test_commands_with_forbidden_text);
    tcase_add_test(tc, test_events_that_are_no_command);
    return suite_run(s);
}
