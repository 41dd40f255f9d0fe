/*
 * Names, patterns, filters and the shared table of names.
 */
#include "base/alloc.h"
#include "bus/bus_internal.h"
#include "support/suite.h"
#include "topic/filter.h"
#include "topic/pattern.h"
#include "topic/table.h"

#include <pthread.h>
#include <stdio.h>

static bool matches(const char *pattern, const char *name)
{
    return jbi_topic_matches(pattern, strlen(pattern), name, strlen(name));
}

static bool is_pattern(const char *text)
{
    return jbi_topic_is_pattern(text, strlen(text));
}

START_TEST(test_star_is_exactly_one_token)
{
    ck_assert(matches("game.*.*", "game.money.changed"));
    ck_assert(!matches("game.*", "game.money.changed"));
    ck_assert(!matches("game.*.*", "game.start"));
    ck_assert(matches("*.money.*", "game.money.changed"));
    ck_assert(!matches("game.mon*", "game.money"));
}
END_TEST

START_TEST(test_tail_is_one_token_or_more)
{
    ck_assert(matches("game.>", "game.start"));
    ck_assert(matches("game.>", "game.money.changed"));
    ck_assert(!matches("game.>", "game"));
    ck_assert(matches(">", "game"));
    ck_assert(matches("*.>", "a.b.c"));
    ck_assert(!matches("*.>", "a"));
}
END_TEST

START_TEST(test_plain_patterns_match_themselves_only)
{
    ck_assert(matches("game.start", "game.start"));
    ck_assert(!matches("game.start", "game.started"));
    ck_assert(!matches("game.start", "game.start.now"));
    ck_assert(!matches("game.start.now", "game.start"));
}
END_TEST

START_TEST(test_illegal_names_and_patterns_are_refused)
{
    char longest[JB_TOPIC_MAX_BYTES + 2];

    memset(longest, 'a', sizeof longest);
    ck_assert(jbi_topic_is_name(longest, JB_TOPIC_MAX_BYTES));
    ck_assert(!jbi_topic_is_name(longest, JB_TOPIC_MAX_BYTES + 1));
    ck_assert(!jbi_topic_is_name("", 0));
    ck_assert(!jbi_topic_is_name("a..b", 4));
    ck_assert(!jbi_topic_is_name(".a", 2));
    ck_assert(!jbi_topic_is_name("a.", 2));
    ck_assert(!jbi_topic_is_name("a b", 3));
    ck_assert(!jbi_topic_is_name("a\0b", 3));
    ck_assert(!jbi_topic_is_name("a.*", 3));
    ck_assert(is_pattern("a.*"));
    ck_assert(is_pattern(">"));
    ck_assert(!is_pattern("a.>.b"));
    ck_assert(!is_pattern("a.b>"));
    ck_assert(!is_pattern("a.**"));
}
END_TEST

/* Exhaustive over short names: the matcher against a slow one that enumerates. */
static bool matches_slowly(const char *p, const char *n)
{
    if (*p == '>')
        return *n != '\0';
    if (*p == '*') {
        size_t token = strcspn(n, ".");

        if (token == 0)
            return false;
        n += token;
        p++;
    } else {
        size_t want = strcspn(p, "."), have = strcspn(n, ".");

        if (want != have || strncmp(p, n, want) != 0)
            return false;
        p += want;
        n += have;
    }
    if (!*p || !*n)
        return !*p && !*n;
    return matches_slowly(p + 1, n + 1);
}

START_TEST(test_matcher_agrees_with_a_slow_one)
{
    static const char *const tokens[] = {"a", "b", "*", ">", "ab"};
    char pattern[16], name[16];

    for (int i = 0; i < 125; i++) {
        for (int j = 0; j < 125; j++) {
            snprintf(pattern, sizeof pattern, "%s.%s.%s", tokens[i % 5], tokens[i / 5 % 5],
                     tokens[i / 25]);
            snprintf(name, sizeof name, "%s.%s.%s", tokens[j % 5], tokens[j / 5 % 5],
                     tokens[j / 25]);
            pattern[strlen(pattern) - (size_t)(i % 3) * 2] = '\0';
            if (!is_pattern(pattern) || !jbi_topic_is_name(name, strlen(name)))
                continue;
            ck_assert_msg(matches(pattern, name) == matches_slowly(pattern, name), "%s on %s",
                          pattern, name);
        }
    }
}
END_TEST

START_TEST(test_filter_remembers_and_a_new_pattern_reopens_refusals)
{
    jb_alloc alloc = jbi_alloc_or_default(NULL);
    struct jbi_filter filter;

    ck_assert_int_eq(jbi_filter_init(&filter, 64, &alloc), 0);
    ck_assert_int_eq(jbi_filter_add(&filter, "game.*", 6), 0);
    ck_assert_int_eq(jbi_filter_decide(&filter, 1, "game.start", 10), JBI_VERDICT_PASS);
    ck_assert_int_eq(jbi_filter_decide(&filter, 2, "metrics.fps", 11), JBI_VERDICT_SKIP);
    ck_assert_int_eq(filter.verdicts[2], JBI_VERDICT_SKIP);
    ck_assert_int_eq(jbi_filter_add(&filter, "metrics.>", 9), 0);
    ck_assert_int_eq(filter.verdicts[1], JBI_VERDICT_PASS);
    ck_assert_int_eq(filter.verdicts[2], JBI_VERDICT_UNKNOWN);
    ck_assert_int_eq(jbi_filter_decide(&filter, 2, "metrics.fps", 11), JBI_VERDICT_PASS);
    ck_assert_int_eq(jbi_filter_add(&filter, "no spaces", 9), JB_EINVAL);
    jbi_filter_fini(&filter);
}
END_TEST

START_TEST(test_interning_gives_one_id_for_one_name_and_ends_in_a_limit)
{
    jb_bus *bus = small_bus();
    char name[16];
    uint32_t first, again, id;
    const char *text;

    first = topic_of(bus, "game.start");
    again = topic_of(bus, "game.start");
    ck_assert_uint_eq(first, again);
    ck_assert_int_eq(jb_bus_topic_name(bus, first, &text), 10);
    ck_assert_str_eq(text, "game.start");
    for (int i = 0; i < 63; i++) {
        snprintf(name, sizeof name, "t.%d", i);
        ck_assert_int_eq(jb_bus_topic(bus, name, strlen(name), &id), 0);
    }
    ck_assert_int_eq(jb_bus_topic(bus, "one.more", 8, &id), JB_ELIMIT);
    ck_assert_int_eq(jb_bus_topic(bus, "game.start", 10, &id), 0);
    ck_assert_int_eq(jb_bus_topic_name(bus, 0, &text), JB_ENOENT);
    ck_assert_int_eq(jb_bus_topic_name(bus, 65, &text), JB_ENOENT);
    jb_bus_close(bus);
}
END_TEST

/* A name that would lie where entries never begin is nobody's, and writing it there may be a
 * crash. */
START_TEST(test_a_scribbled_heap_takes_no_names)
{
    jb_bus *bus = small_bus();
    uint32_t id;

    atomic_store(&bus->topics.control->heap_used, 3);
    ck_assert_int_eq(jb_bus_topic(bus, "game.start", 10, &id), JB_ECORRUPT);
    atomic_store(&bus->topics.control->heap_used, UINT64_MAX - 7);
    ck_assert_int_eq(jb_bus_topic(bus, "game.start", 10, &id), JB_ELIMIT);
    jb_bus_close(bus);
}
END_TEST

struct racer {
    jb_bus *bus;
    uint32_t ids[40];
};

static void *intern_all(void *arg)
{
    struct racer *racer = arg;
    char name[16];

    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "race.%d", i);
        if (jb_bus_topic(racer->bus, name, strlen(name), &racer->ids[i]) != 0)
            racer->ids[i] = 0;
    }
    return NULL;
}

START_TEST(test_racing_interners_agree)
{
    jb_bus *bus = small_bus();
    struct racer racers[3];
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) {
        racers[i].bus = bus;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, intern_all, &racers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_ne(racers[0].ids[0], 0);
    ck_assert_mem_eq(racers[0].ids, racers[1].ids, sizeof racers[0].ids);
    ck_assert_mem_eq(racers[0].ids, racers[2].ids, sizeof racers[0].ids);
    jb_bus_close(bus);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("topic");
    TCase *tc = suite_case(suite, "topic");

    tcase_add_test(tc, test_star_is_exactly_one_token);
    tcase_add_test(tc, test_tail_is_one_token_or_more);
    tcase_add_test(tc, test_plain_patterns_match_themselves_only);
    tcase_add_test(tc, test_illegal_names_and_patterns_are_refused);
    tcase_add_test(tc, test_matcher_agrees_with_a_slow_one);
    tcase_add_test(tc, test_filter_remembers_and_a_new_pattern_reopens_refusals);
    tcase_add_test(tc, test_interning_gives_one_id_for_one_name_and_ends_in_a_limit);
    tcase_add_test(tc, test_a_scribbled_heap_takes_no_names);
    tcase_add_test(tc, test_racing_interners_agree);
    return suite_run(suite);
}
