/*
 * Keys that come twice: the last one counts, wherever it stands and however often it came.
 */
#include "encode.h"

#include <stdio.h>

#define STATE(members) "{\"type\":\"GAME_STATE\",\"payload\":{" members "}}"

static const struct {
    const char *in;
    const char *out;
    uint32_t n;
} texts[] = {
    {STATE("\"money\":1,\"money\":2"), STATE("\"money\":2"), 1},
    {STATE("\"money\":1,\"ante\":7,\"money\":2"), STATE("\"ante\":7,\"money\":2"), 1},
    {STATE("\"money\":\"x\",\"money\":2"), STATE("\"money\":2"), 1},
    {STATE("\"money\":1,\"money\":\"x\""), STATE("\"money\":\"x\""), 1},
    {STATE("\"money\":\"x\",\"money\":\"y\""), STATE("\"money\":\"y\""), 1},
    {STATE("\"money\":null,\"money\":[1],\"money\":{}"), STATE("\"money\":{}"), 2},
    {STATE("\"hand\":[{\"id\":1},{\"id\":2}],\"hand\":[{\"id\":3}]"),
     STATE("\"hand\":[{\"id\":3}]"), 1},
    {STATE("\"hand\":[{},5],\"hand\":[]"), STATE("\"hand\":[]"), 1},
    {STATE("\"hand\":[],\"hand\":[{}]"), STATE("\"hand\":[{}]"), 1},
    {STATE("\"hand\":[5,{}],\"hand\":[{},6]"), STATE("\"hand\":[{},6]"), 1},
    {STATE("\"blind\":{\"name\":\"a\",\"name\":\"b\"},\"blind\":{\"chips\":1}"),
     STATE("\"blind\":{\"chips\":1}"), 2},
    {STATE("\"shop_items\":{\"a\":{}},\"shop_items\":{\"b\":{}}"),
     STATE("\"shop_items\":{\"b\":{}}"), 1},
    {STATE("\"a\":1,\"b\":2,\"a\":3"), STATE("\"b\":2,\"a\":3"), 1},
    {STATE("\"\":1,\"\":2"), STATE("\"\":2"), 1},
    {STATE("\"a\":1,\"\\u0061\":2"), STATE("\"a\":2"), 1},
    {STATE("\"a\":[1,{\"b\":2}],\"a\":{\"c\":3},\"a\":null"), STATE("\"a\":null"), 2},
    {STATE("\"money\":inf,\"money\":1"), STATE("\"money\":1"), 2},
    {STATE("\"shop_items\":{\"b\":{\"cost\":1},\"a\":{},\"b\":{\"cost\":2},\"b\":7}"),
     STATE("\"shop_items\":{\"a\":{},\"b\":7}"), 2},
    {STATE("\"shop_items\":{\"b\":7,\"a\":[8],\"b\":{}}"),
     STATE("\"shop_items\":{\"a\":[8],\"b\":{}}"), 1},
    {"{\"type\":\"X\",\"zz\":{\"b\":[{\"c\":1,\"c\":2}],\"a\":1,\"b\":[{\"c\":3,\"c\":4}]}}",
     "{\"type\":\"X\",\"zz\":{\"a\":1,\"b\":[{\"c\":4}]}}", 3},
    {"{\"type\":\"X\",\"payload\":{\"k\":1,\"\\u006b\":{}}}",
     "{\"type\":\"X\",\"payload\":{\"k\":{}}}", 1},
    {"{\"type\":\"X\",\"zz\":[{\"a\":1},{\"a\":1}],\"yy\":{\"a\":{\"a\":{}}}}",
     "{\"type\":\"X\",\"zz\":[{\"a\":1},{\"a\":1}],\"yy\":{\"a\":{\"a\":{}}}}", 0},
    {"{\"type\":\"A\",\"type\":\"B\"}", "{\"type\":\"B\"}", 1},
    {"{\"type\":\"A\",\"type\":\"HEARTBEAT\"}", "{\"type\":\"HEARTBEAT\"}", 1},
    {"{\"type\":\"HEARTBEAT\",\"type\":\"A\"}", "{\"type\":\"A\"}", 1},
    {"{\"type\":\"A\",\"type\":\"B\",\"type\":\"C\"}", "{\"type\":\"C\"}", 2},
    {"{\"type\":5,\"type\":\"B\"}", "{\"type\":\"B\"}", 1},
    {"{\"type\":\"B\",\"type\":5}", "{\"type\":5}", 1},
    {"{\"type\":\"B\",\"type\":5,\"type\":6}", "{\"type\":6}", 2},
    {"{\"type\":\"B\",\"type\":5,\"type\":\"C\"}", "{\"type\":\"C\"}", 2},
    {"{\"type\":\"SCORING\",\"type\":\"SCORING\",\"subtype\":\"SCORE_UPDATE\"}",
     "{\"type\":\"SCORING\",\"subtype\":\"SCORE_UPDATE\"}", 1},
    {"{\"type\":\"A\",\"type\":\"LEARNING_DECISION\"}", "{\"type\":\"LEARNING_DECISION\"}", 1},
    {"{\"type\":\"A\",\"type\":\"LEARNING_DECISION\",\"subtype\":\"REQUEST\"}",
     "{\"type\":\"LEARNING_DECISION\",\"subtype\":\"REQUEST\"}", 1},
    {"{\"type\":\"A\",\"payload\":1,\"payload\":2}", "{\"type\":\"A\",\"payload\":2}", 1},
    {"{\"payload\":1,\"type\":\"A\",\"payload\":2}", "{\"type\":\"A\",\"payload\":2}", 1},
    /* The first payload is checked when the second comes, whose key lies in the same scratch. */
    {"{\"payload\":\"\\u0041 and a long text\",\"type\":\"A\",\"pay\\u006coad\":2}",
     "{\"type\":\"A\",\"payload\":2}", 1},
    /* A payload that is read again under the last type leaves what else came twice as it is. */
    {"{\"payload\":1,\"version\":{},\"type\":\"A\",\"version\":2,\"payload\":3}",
     "{\"type\":\"A\",\"version\":2,\"payload\":3}", 2},
    {"{\"type\":7,\"payload\":1,\"type\":\"A\",\"payload\":2}", "{\"type\":\"A\",\"payload\":2}",
     2},
    {"{\"type\":\"A\",\"data\":1,\"data\":2}", "{\"type\":\"A\",\"data\":2}", 1},
    {"{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":1},\"type\":\"A\"}",
     "{\"type\":\"A\",\"payload\":{\"new_value\":1}}", 1},
    {"{\"type\":\"A\",\"payload\":{\"new_value\":1,\"new_value\":2},\"type\":\"MONEY_CHANGED\"}",
     "{\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":2}}", 2},
    {"{\"type\":\"A\",\"changes\":[{\"type\":\"A\",\"type\":\"B\",\"x\":1,\"x\":2}]}",
     "{\"type\":\"A\",\"changes\":[{\"type\":\"B\",\"x\":2}]}", 2},
};

#define DECISION "{\"type\":\"LEARNING_DECISION\","

/* The last subtype decides the type, and so the topic. */
static const struct {
    const char *in;
    const char *out;
    uint16_t type;
    const char *topic;
} subtypes[] = {
    {DECISION "\"subtype\":\"REQUEST\",\"subtype\":\"RESPONSE\",\"payload\":{\"reason\":1}}",
     DECISION "\"subtype\":\"RESPONSE\",\"payload\":{\"reason\":1}}",
     JB_EVENT_LEARNING_DECISION_RESPONSE, "learning.decision.response"},
    {DECISION "\"subtype\":\"REQUEST\",\"payload\":{\"reason\":1},\"subtype\":\"RESPONSE\"}",
     DECISION "\"subtype\":\"RESPONSE\",\"payload\":{\"reason\":1}}",
     JB_EVENT_LEARNING_DECISION_RESPONSE, "learning.decision.response"},
    {"{\"subtype\":\"REQUEST\",\"type\":\"LEARNING_DECISION\",\"subtype\":1}",
     DECISION "\"subtype\":1}", JB_EVENT_CUSTOM, "custom.learning_decision"},
    {"{\"subtype\":\"REQUEST\",\"subtype\":1,\"type\":\"LEARNING_DECISION\"}",
     DECISION "\"subtype\":1}", JB_EVENT_CUSTOM, "custom.learning_decision"},
    {DECISION "\"subtype\":1,\"subtype\":\"REQUEST\"}", DECISION "\"subtype\":\"REQUEST\"}",
     JB_EVENT_LEARNING_DECISION_REQUEST, "learning.decision.request"},
    {"{\"type\":\"A\",\"subtype\":\"REQUEST\",\"subtype\":\"RESPONSE\",\"type\":\"LEARNING_"
     "DECISION\"}",
     DECISION "\"subtype\":\"RESPONSE\"}", JB_EVENT_LEARNING_DECISION_RESPONSE,
     "learning.decision.response"},
};

START_TEST(test_the_last_subtype_decides)
{
    jb_encoded read;

    ck_assert_msg(encode(subtypes[_i].in) == 0, "%s", err.msg);
    ck_assert_uint_eq(made.type, subtypes[_i].type);
    ck_assert_str_eq(made.topic, subtypes[_i].topic);
    ck_assert_int_eq(jb_event_inspect(made.data, made.len_bytes, &read, &err), 0);
    ck_assert_str_eq(read.topic, subtypes[_i].topic);
    ck_assert_str_eq(made_json(), subtypes[_i].out);
}
END_TEST

START_TEST(test_a_payload_read_again_is_counted_once)
{
    ck_assert_int_eq(
        encode("{\"data\":1,\"type\":\"MONEY_CHANGED\",\"payload\":{\"new_value\":\"5\"}}"), 0);
    ck_assert_uint_eq(made.n_repairs, 1);
    ck_assert_int_eq(
        encode("{\"type\":\"A\",\"data\":\"a\1\",\"payload\":{},\"type\":\"MONEY_CHANGED\"}"), 0);
    ck_assert_uint_eq(made.n_repairs, 2); /* the control byte and the type */
}
END_TEST

START_TEST(test_values_say_a_type_after_what_is_none)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "A", 1, NULL, 0), 0);
    jb_encoder_key(enc, "changes", 7);
    jb_encoder_list_open(enc);
    jb_encoder_object_open(enc);
    jb_encoder_put_double(enc, "type", 4, 5);
    jb_encoder_put_string(enc, "type", 4, "HEARTBEAT", 9);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_str_eq(made_json(), "{\"type\":\"A\",\"changes\":[{\"type\":\"HEARTBEAT\"}]}");
}
END_TEST

START_TEST(test_values_say_a_payload_again_after_its_type)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "A", 1, NULL, 0), 0);
    jb_encoder_key(enc, "changes", 7);
    jb_encoder_list_open(enc);
    jb_encoder_object_open(enc);
    jb_encoder_put_double(enc, "payload", 7, 1);
    jb_encoder_put_double(enc, "data", 4, 2);
    jb_encoder_put_string(enc, "type", 4, "HEARTBEAT", 9);
    jb_encoder_key(enc, "payload", 7);
    jb_encoder_object_open(enc);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    jb_encoder_close(enc);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_str_eq(made_json(),
                     "{\"type\":\"A\",\"changes\":[{\"type\":\"HEARTBEAT\",\"payload\":{},"
                     "\"data\":2}]}");
    ck_assert_uint_eq(made.n_repairs, 1);
}
END_TEST

START_TEST(test_values_say_one_subtype)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "LEARNING_DECISION", 17, "REQUEST", 7), 0);
    ck_assert_int_eq(jb_encoder_put_string(enc, "subtype", 7, "REQUEST", 7), 0);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_uint_eq(made.type, JB_EVENT_LEARNING_DECISION_REQUEST);
    ck_assert_int_eq(jb_encoder_begin(enc, "LEARNING_DECISION", 17, "REQUEST", 7), 0);
    ck_assert_int_eq(jb_encoder_put_string(enc, "subtype", 7, "RESPONSE", 8), 0);
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), JB_ESTATE);
}
END_TEST

START_TEST(test_the_last_counts)
{
    comes_back_as(texts[_i].in, texts[_i].out);
    ck_assert_uint_eq(made.n_repairs, texts[_i].n);
}
END_TEST

static char big[4 << 20];

/* An event of n members, spelled by a function. */
static const char *event_of(int n, int (*member)(char *to, int i))
{
    char *at = big + sprintf(big, "{\"type\":\"X\"");

    for (int i = 0; i < n; i++) {
        *at++ = ',';
        at += member(at, i);
        ck_assert_int_lt(at - big, (long)sizeof big - 256);
    }
    strcpy(at, "}");
    return big;
}

static int version(char *to, int i)
{
    return sprintf(to, "\"version\":\"%d\"", i);
}

static int one_unknown(char *to, int i)
{
    return sprintf(to, "\"zz\":%d", i);
}

static int type(char *to, int i)
{
    return sprintf(to, "\"type\":\"T%d\"", i);
}

static int two_of_each(char *to, int i)
{
    return sprintf(to, "\"k%d\":%d", i % 10000, i);
}

START_TEST(test_as_often_as_it_likes)
{
    comes_back_as(event_of(100000, version), "{\"type\":\"X\",\"version\":\"99999\"}");
    ck_assert_uint_eq(made.n_repairs, 99999 + 100000); /* and each is a text for a number */
    comes_back_as(event_of(100000, one_unknown), "{\"type\":\"X\",\"zz\":99999}");
    ck_assert_uint_eq(made.n_repairs, 99999);
    comes_back_as(event_of(100000, type), "{\"type\":\"T99999\"}");
    ck_assert_uint_eq(made.n_repairs, 100000);
}
END_TEST

START_TEST(test_many_keys_twice)
{
    const char *json;

    ck_assert_msg(encode(event_of(20000, two_of_each)) == 0, "%s", err.msg);
    ck_assert_uint_eq(made.n_repairs, 10000);
    json = made_json();
    ck_assert(strstr(json, "\"k0\":10000,\"k1\":10001") != NULL);
    ck_assert(strstr(json, "\"k0\":0") == NULL);
    ck_assert(strstr(json, "\"k9999\":19999}") != NULL);
}
END_TEST

START_TEST(test_values_say_a_key_twice)
{
    ck_assert_int_eq(jb_encoder_begin(enc, "X", 1, NULL, 0), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(jb_encoder_put_double(enc, "version", 7, i), 0);
        ck_assert_int_eq(jb_encoder_put_double(enc, "zz", 2, i), 0);
    }
    ck_assert_int_eq(jb_encoder_end(enc, &made, &err), 0);
    ck_assert_str_eq(made_json(), "{\"type\":\"X\",\"version\":2,\"zz\":2}");
    ck_assert_uint_eq(made.n_repairs, 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("encoder twice");
    TCase *tc = suite_case(s, "twice");

    tcase_add_checked_fixture(tc, encoder_open, encoder_close);
    tcase_add_loop_test(tc, test_the_last_counts, 0, (int)(sizeof texts / sizeof texts[0]));
    tcase_add_loop_test(tc, test_the_last_subtype_decides, 0,
                        (int)(sizeof subtypes / sizeof subtypes[0]));
    tcase_add_test(tc, test_a_payload_read_again_is_counted_once);
    tcase_add_test(tc, test_values_say_a_type_after_what_is_none);
    tcase_add_test(tc, test_values_say_a_payload_again_after_its_type);
    tcase_add_test(tc, test_values_say_one_subtype);
    tcase_add_test(tc, test_as_often_as_it_likes);
    tcase_add_test(tc, test_many_keys_twice);
    tcase_add_test(tc, test_values_say_a_key_twice);
    return suite_run(s);
}
