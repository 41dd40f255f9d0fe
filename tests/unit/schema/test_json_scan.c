/*
 * The ways over a text: by vectors or not, usual spelling or not, the outcome is one.
 */
#include "schema/json_scan.h"

#include "encode.h"
#include "support/guard.h"

#include <stdio.h>

enum { TEXT_MAX = 400, N_TEXTS = 3000 };

static uint32_t state = 2463534242u;

static uint32_t draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % below;
}

/* Text of what matters to a scan, and much that does not; it lies flush against a guard page. */
static struct guard random_text(const char *kinds, uint32_t len_bytes)
{
    struct guard g = guard_alloc(len_bytes);
    size_t n_kinds = strlen(kinds);

    for (size_t i = 0; i < len_bytes; i++)
        g.data[i] = (uint8_t)kinds[draw((uint32_t)n_kinds)];
    return g;
}

START_TEST(test_every_way_finds_the_same_end)
{
    static const char *const kinds[] = {"aaaaaaaaaaaa{}[]\"", "aaaaaaaaaaaaaaaaaaaaaaaaa{{{}}\"\\",
                                        "\"\\\\a}", "aaaaaaaaaaaaaaaaaaaaaaaaaa{{{[\""};
    jbi_scan_container_fn ways[JBI_SCAN_WAYS_MAX];
    size_t n_ways = jbi_scan_container_ways(ways);

    for (int i = 0; i < N_TEXTS; i++) {
        uint32_t n = 1 + draw(TEXT_MAX);
        struct guard g = random_text(kinds[_i], n);
        const char *begin = (char *)g.data, *end = begin + n;

        g.data[0] = '{';
        for (size_t w = 1; w < n_ways; w++)
            ck_assert_ptr_eq(ways[w](begin, end), ways[0](begin, end));
        ck_assert_ptr_eq(jbi_scan_container(begin, end), ways[0](begin, end));
        guard_free(&g);
    }
}
END_TEST

START_TEST(test_the_end_of_a_container_is_after_its_last_bracket)
{
    static const char text[] =
        "{\"a\":[{\"}\":\"]\\\"}\"}],\"b\":\"0123456789012345678901234567890123"
        "456789012345678901234567890123456789012345678901234567890\"}]";

    ck_assert_ptr_eq(jbi_scan_container(text, text + sizeof text - 1), text + sizeof text - 2);
    ck_assert_ptr_null(jbi_scan_container(text, text + sizeof text - 3));
}
END_TEST

START_TEST(test_every_byte_that_is_not_plain_ends_a_run)
{
    struct guard g = guard_alloc(40);
    const char *begin = (char *)g.data, *end = begin + 40;

    memset(g.data, 'a', 40);
    for (unsigned at = 0; at < 40; at++) {
        g.data[at] = (uint8_t)_i;
        ck_assert_ptr_eq(jbi_scan_plain(begin, end), jbi_is_plain((char)_i) ? end : begin + at);
        ck_assert_ptr_eq(jbi_scan_plain_words(begin, end), jbi_scan_plain(begin, end));
        g.data[at] = 'a';
    }
    guard_free(&g);
}
END_TEST

/* The same event in the usual spelling and in ones that are read the long way. */
static const char *const spellings[][2] = {
    {"{\"type\":\"MONEY_CHANGED\",\"source\":\"mod\",\"payload\":{\"old_value\":4,\"new_value\":"
     "12345678,\"difference\":0}}",
     "{ \"type\" : \"MONEY\\u005fCHANGED\", \"sourc\\u0065\" : \"m\\u006fd\" , \"payload\" :\n{"
     "\"old_value\" :4 ,\"new_value\" : 12345678 , \"difference\":0 } }"},
    {"{\"type\":\"GAME_STATE\",\"debug\":true,\"initial\":false,\"payload\":{\"in_game\":true,"
     "\"hand\":[{\"id\":7,\"suit\":\"Hearts\",\"rank\":\"10\",\"seal\":\"none\"},{\"id\":\"x7\","
     "\"suit\":\"Nowhere\",\"rank\":\"Ace\"}],\"game_id\":\"SEED0007\",\"money\":17}}",
     "{\"type\":\"GAME_STATE\",\"debug\" :true ,\"initial\" :false ,\"payload\":{\"in_game\": true "
     ",\"hand\":[{\"id\":7 ,\"suit\":\"H\\u0065arts\",\"rank\":\"1\\u0030\",\"seal\" : "
     "\"n\\u006fne\" },{\"\\u0069d\":\"x\\u0037\",\"suit\":\"Nowher\\u0065\",\"rank\":\"Ac\\u0065\""
     "}],\"game_id\":\"SEED000\\u0037\",\"money\": 17 }}"},
};

START_TEST(test_equal_events_are_equal_bytes_however_spelled)
{
    char first[4096];
    size_t n;

    encoder_open();
    /* Twice, so that the reader expects the keys as well as not. */
    for (int round = 0; round < 2; round++) {
        ck_assert_msg(encode(spellings[_i][0]) == 0, "%s", err.msg);
        n = made.len_bytes;
        ck_assert_uint_le(n, sizeof first);
        memcpy(first, made.data, n);
        ck_assert_msg(encode(spellings[_i][1]) == 0, "%s", err.msg);
        ck_assert_uint_eq(made.len_bytes, n);
        ck_assert_mem_eq(made.data, first, n);
    }
    encoder_close();
}
END_TEST

/* A number of up to 20 digits, now and then with a sign, a fraction, a zero in front. */
static const char *random_number(char buf[32])
{
    uint32_t n = 1 + draw(20), point = draw(24), at = 0;

    if (draw(4) == 0)
        buf[at++] = '-';
    for (uint32_t i = 0; i < n; i++) {
        if (i == point && i != 0)
            buf[at++] = '.';
        buf[at++] = (char)('0' + draw(10));
    }
    buf[at] = '\0';
    return buf;
}

/* White space after a number is unusual enough to send it the long way. */
START_TEST(test_a_number_is_the_same_however_it_is_read)
{
    static const char *const forms[] = {
        "{\"type\":\"HEARTBEAT\",\"timestamp\":%s%s,\"payload\":{\"uptime\":%s%s,\"version\":\"1\"}"
        "}",
        "{\"type\":\"MONEY_CHANGED\",\"event_id\":%s%s,\"payload\":{\"old_value\":%s%s}}",
        "{\"type\":\"ROUND_CHANGED\",\"event_id\":\"%s\"%s,\"payload\":{\"ante\":%s%s,\"round\":2}"
        "}",
    };
    char text[400], a[32], b[32], first[4096];
    int rc;

    encoder_open();
    for (int i = 0; i < 4 * N_TEXTS; i++) {
        random_number(a);
        random_number(b);
        snprintf(text, sizeof text, forms[_i], a, "", b, "");
        memset(first, 0, sizeof first);
        rc = encode(text);
        if (rc == 0)
            memcpy(first, made.data, made.len_bytes);
        snprintf(text, sizeof text, forms[_i], a, " ", b, "\n");
        ck_assert_int_eq(encode(text), rc);
        if (rc == 0)
            ck_assert_msg(memcmp(made.data, first, made.len_bytes) == 0, "%s", text);
    }
    encoder_close();
}
END_TEST

START_TEST(test_keys_in_another_order_are_found)
{
    encoder_open();
    for (int i = 0; i < 50; i++) {
        comes_back("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"old_value\":4,\"new_value\":5}}");
        comes_back("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":5,\"old_value\":4}}");
        comes_back("{\"type\":\"MONEY_CHANGED\",\"payload\":{\"old_value\":4,\"old_valu\":5}}");
    }
    encoder_close();
}
END_TEST

START_TEST(test_a_repeated_key_at_the_end_closes_nothing)
{
    encoder_open();
    comes_back_as("{\"type\":\"GAME_STATE\",\"payload\":{\"hand\":[{\"suit\":\"10\",\"seal\":"
                  "\"none\",\"suit\":\"Hearts\"},{\"suit\":\"Clubs\"}]}}",
                  "{\"type\":\"GAME_STATE\",\"payload\":{\"hand\":[{\"seal\":\"none\",\"suit\":"
                  "\"Hearts\"},{\"suit\":\"Clubs\"}]}}");
    encoder_close();
}
END_TEST

START_TEST(test_a_full_name_is_not_taken_for_the_type_it_begins_with)
{
    encoder_open();
    for (int i = 0; i < 2; i++) {
        comes_back("{\"type\":\"LEARNING_DECISION_RESPONSE\",\"payload\":{\"request_id\":\"a\"}}");
        comes_back("{\"type\":\"LEARNING_DECISION_REQUEST\",\"payload\":{\"request_id\":\"a\"}}");
        comes_back("{\"type\":\"LEARNING_DECISION\",\"payload\":{\"request_id\":\"a\"}}");
    }
    encoder_close();
}
END_TEST

START_TEST(test_a_text_may_end_anywhere)
{
    static const char text[] =
        "{\"type\":\"GAME_STATE\",\"payload\":{\"hand\":[{\"suit\":\"Hearts"
        "\",\"id\":12345678,\"rank\":\"10\"}],\"money\":1,\"in_game\":true}}";

    encoder_open();
    ck_assert_msg(encode(text) == 0, "%s", err.msg);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        struct guard g = guard_copy(text, n);

        ck_assert_int_eq(jb_encoder_json(enc, (char *)g.data, n, &made, &err), JB_EPARSE);
        guard_free(&g);
    }
    encoder_close();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema json scan");
    TCase *tc = suite_case(suite, "scan"), *member = suite_case(suite, "member");

    tcase_add_loop_test(tc, test_every_way_finds_the_same_end, 0, 4);
    tcase_add_test(tc, test_the_end_of_a_container_is_after_its_last_bracket);
    tcase_add_loop_test(tc, test_every_byte_that_is_not_plain_ends_a_run, 0, 256);
    tcase_add_loop_test(member, test_equal_events_are_equal_bytes_however_spelled, 0,
                        sizeof spellings / sizeof spellings[0]);
    tcase_add_loop_test(member, test_a_number_is_the_same_however_it_is_read, 0, 3);
    tcase_add_test(member, test_keys_in_another_order_are_found);
    tcase_add_test(member, test_a_repeated_key_at_the_end_closes_nothing);
    tcase_add_test(member, test_a_full_name_is_not_taken_for_the_type_it_begins_with);
    tcase_add_test(member, test_a_text_may_end_anywhere);
    return suite_run(suite);
}
