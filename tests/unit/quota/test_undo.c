/*
 * test_undo.c: what a dead owner began is put back, wherever it died.
 */
#include "quota/undo.h"

#include "quota/coord.h"
#include "support/suite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

START_TEST(test_what_no_log_holds_is_not_changed)
{
    undo_log.n = JBI_UNDO_WORDS_MAX;
    jbi_undo_set(&undo, &words[3], 9);
    ck_assert_uint_eq(words[3], 0);
    undo_log.n = JBI_UNDO_WORDS_MAX - 1;
    jbi_undo_set(&undo, &words[3], 9);
    ck_assert_uint_eq(words[3], 9);
    ck_assert_uint_eq(undo_log.n, JBI_UNDO_WORDS_MAX);
}
END_TEST

/* A peer says that a step of 5000 words is under way. */
START_TEST(test_whoever_comes_in_begins_an_empty_log)
{
    jb_coord *coord = NULL;
    jb_coord_opts opts;
    jb_resource_spec resource = {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 1};
    jb_component_spec component = {.name = "a"};
    jb_amount amount = {.resource = 0, .amount = 1};
    jb_want want = {.n_amounts = 1, .amounts = &amount};
    char name[64];
    jb_lease lease;

    snprintf(name, sizeof name, "test-undo-%d", (int)getpid());
    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = &resource;
    opts.components = &component;
    opts.n_resources = opts.n_components = 1;
    ck_assert_int_eq(jb_coord_open(name, &opts, &coord, NULL), 0);
    ck_assert_int_eq(jb_coord_unlink(name, NULL), 0);
    coord->books.undo.log->n = 5000;
    ck_assert_int_eq(jb_coord_try(coord, &want, &lease), 0);
    ck_assert_int_eq(jb_coord_audit(coord, NULL), 0);
    jb_coord_close(coord);
}
END_TEST

/* As much of a step as its writer lived for: the record is there, the count that makes it one was
 * rolled back. The oldest is gone with it. */
START_TEST(test_a_record_that_was_rolled_back_is_never_read)
{
    enum { N_RECORDS = 16 };
    jb_coord *coord = NULL;
    jb_coord_opts opts;
    jb_resource_spec resource = {.name = "mem", .kind = JB_RESOURCE_MEMORY, .capacity = 1};
    jb_component_spec component = {.name = "a"};
    jb_amount amount = {.resource = 0, .amount = 1};
    jb_want want = {.n_amounts = 1, .amounts = &amount};
    uint64_t cursor = 0, lost = 0, n_read = 0;
    struct jbi_happening what = {.kind = JB_RECORD_GRANTED, .token = 4242};
    struct jbi_want checked = {.n = 1, .amount = {77}};
    jb_record record;
    jb_lease lease;

    jb_coord_opts_init(&opts, sizeof opts);
    opts.resources = &resource;
    opts.components = &component;
    opts.n_resources = opts.n_components = 1;
    opts.max_records = N_RECORDS;
    ck_assert_int_eq(jb_coord_open(NULL, &opts, &coord, NULL), 0);
    for (int i = 0; i < N_RECORDS; i++) {
        ck_assert_int_eq(jb_coord_try(coord, &want, &lease), 0);
        ck_assert_int_eq(jb_lease_release(coord, &lease), 0);
    }
    jbi_record_one(&coord->books, &what, &checked, 0, 0);
    coord->books.head->n_records--;
    for (uint64_t more; jb_coord_next_record(coord, &cursor, &record, &more) == 1; n_read++) {
        lost += more;
        ck_assert_uint_eq(record.sequence, cursor - 1);
        ck_assert_uint_ne(record.token, 4242);
    }
    ck_assert_uint_eq(n_read, N_RECORDS - 1);
    ck_assert_uint_eq(lost, N_RECORDS + 1);
    jb_coord_close(coord);
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
    tcase_add_test(tcase, test_what_no_log_holds_is_not_changed);
    tcase_add_test(tcase, test_whoever_comes_in_begins_an_empty_log);
    tcase_add_test(tcase, test_a_record_that_was_rolled_back_is_never_read);
    tcase_add_test(tcase, test_without_a_log_words_are_just_set);
    return suite_run(suite);
}
