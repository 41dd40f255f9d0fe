/*
 * test_undo.c: what a dead owner began is put back, wherever it died.
 */
#include "quota/undo.h"
#include "support/suite.h"

#include <string.h>

enum { N_WORDS = 8 };

static uint64_t words[N_WORDS];
static struct jbi_undo_log undo_log;
static struct jbi_undo undo;

static void setup(void)
{
    memset(words, 0, sizeof words);
    memset(&undo_log, 0, sizeof undo_log);
    undo = (struct jbi_undo){.log = &undo_log, .words = words, .n_words = N_WORDS};
}

START_TEST(test_rolls_back_to_the_last_commit)
{
    jbi_undo_set(&undo, &words[0], 1);
    jbi_undo_commit(&undo);
    jbi_undo_set(&undo, &words[0], 2);
    jbi_undo_set(&undo, &words[1], 3);
    jbi_undo_set(&undo, &words[0], 4);
    jbi_undo_roll_back(&undo);
    ck_assert_uint_eq(words[0], 1);
    ck_assert_uint_eq(words[1], 0);
    ck_assert_uint_eq(undo_log.n, 0);
}
END_TEST

/* The log is written before the word: one that lists a change which never came is harmless. */
START_TEST(test_an_entry_without_its_change_is_harmless)
{
    words[2] = 7;
    undo_log.entries[0].word = 2;
    undo_log.entries[0].old = 7;
    undo_log.n = 1;
    jbi_undo_roll_back(&undo);
    ck_assert_uint_eq(words[2], 7);
}
END_TEST

START_TEST(test_a_log_of_nonsense_touches_nothing_outside)
{
    uint64_t guard[3] = {1, 2, 3};

    undo.words = &guard[1];
    undo.n_words = 1;
    undo_log.n = UINT64_MAX;
    for (int i = 0; i < JBI_UNDO_WORDS_MAX; i++)
        undo_log.entries[i].word = i % 2 ? UINT64_MAX : 1;
    jbi_undo_roll_back(&undo);
    ck_assert_uint_eq(guard[0], 1);
    ck_assert_uint_eq(guard[1], 2);
    ck_assert_uint_eq(guard[2], 3);
}
END_TEST

START_TEST(test_without_a_log_words_are_just_set)
{
    undo.log = NULL;
    jbi_undo_set(&undo, &words[0], 5);
    jbi_undo_add(&undo, &words[0], 2);
    jbi_undo_roll_back(&undo);
    ck_assert_uint_eq(words[0], 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("undo");
    TCase *tcase = suite_case(suite, "undo");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, test_rolls_back_to_the_last_commit);
    tcase_add_test(tcase, test_an_entry_without_its_change_is_harmless);
    tcase_add_test(tcase, test_a_log_of_nonsense_touches_nothing_outside);
    tcase_add_test(tcase, test_without_a_log_words_are_just_set);
    return suite_run(suite);
}
