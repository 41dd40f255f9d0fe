/* Laws of the command queue and of the text answers are made of. */
#include "hsuite.h"

#include "host/service/cmdq.h"

#include <stdio.h>

static jbi_cmdq queue;
static jbi_htext text;

static void push(const char *name, const char *a, const char *b)
{
    jb_command command = {.n_params = (a != NULL) + (b != NULL)};

    snprintf(command.name, sizeof(command.name), "%s", name);
    snprintf(command.params[0], sizeof(command.params[0]), "%s", a ? a : "");
    snprintf(command.params[1], sizeof(command.params[1]), "%s", b ? b : "");
    jbi_cmdq_push(&queue, &command);
}

static void setup(uint32_t n)
{
    ck_assert_int_eq(jbi_cmdq_init(&queue, n, &jbi_hmem_libc), 0);
    jbi_htext_init(&text, &jbi_hmem_libc);
}

static void teardown(void)
{
    jbi_cmdq_fini(&queue);
    jbi_htext_fini(&text);
}

static void assert_text(const char *expect)
{
    ck_assert_uint_eq(text.len, strlen(expect));
    ck_assert_mem_eq(text.data, expect, strlen(expect));
}

START_TEST(test_lines_are_name_and_parameters_in_order)
{
    setup(4);
    push("play_hand", NULL, NULL);
    push("select_card", "3", NULL);
    push("move", "1", "2");
    ck_assert_uint_eq(jbi_cmdq_peek(&queue, &text, 1000), 3);
    assert_text("play_hand\nselect_card:3\nmove:1,2\n");
    teardown();
}
END_TEST

START_TEST(test_a_full_queue_drops_the_oldest_and_counts_it)
{
    setup(2);
    push("a", NULL, NULL);
    push("b", NULL, NULL);
    push("c", NULL, NULL);
    ck_assert_uint_eq(queue.n_dropped, 1);
    ck_assert_uint_eq(jbi_cmdq_peek(&queue, &text, 1000), 2);
    assert_text("b\nc\n");
    teardown();
}
END_TEST

START_TEST(test_only_whole_lines_within_the_limit)
{
    setup(4);
    push("aaa", NULL, NULL);
    push("bbb", NULL, NULL);
    ck_assert_uint_eq(jbi_cmdq_peek(&queue, &text, 7), 1);
    assert_text("aaa\n");
    jbi_cmdq_pop(&queue, 1);
    jbi_htext_reset(&text, 0);
    ck_assert_uint_eq(jbi_cmdq_peek(&queue, &text, 7), 1);
    assert_text("bbb\n");
    teardown();
}
END_TEST

START_TEST(test_the_longest_command_fits_a_line)
{
    jb_command command = {.n_params = 8};

    setup(1);
    memset(command.name, 'n', 47);
    for (int i = 0; i < 8; i++)
        memset(command.params[i], 'p', 47);
    jbi_cmdq_push(&queue, &command);
    ck_assert_uint_eq(jbi_cmdq_peek(&queue, &text, 1000), 1);
    ck_assert_uint_eq(text.len, JBI_CMDQ_LINE_BYTES);
    ck_assert_int_eq(text.data[text.len - 1], '\n');
    teardown();
}
END_TEST

START_TEST(test_pushed_is_popped_dropped_or_waiting)
{
    setup(3);
    for (int i = 0; i < 100; i++) {
        push("x", NULL, NULL);
        if (i % 7 == 0)
            jbi_cmdq_pop(&queue, 1);
        ck_assert_uint_eq(queue.n_pushed, queue.n_popped + queue.n_dropped + queue.n);
    }
    teardown();
}
END_TEST

START_TEST(test_json_text_is_escaped)
{
    setup(1);
    jbi_htext_json(&text, "a\"b\\c\n\x01\xc3\xa9", 9);
    assert_text("\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
    teardown();
}
END_TEST

static void *no_alloc(size_t n, void *ctx)
{
    return NULL;
}

static void *no_realloc(void *p, size_t old, size_t n, void *ctx)
{
    return NULL;
}

static void no_free(void *p, size_t n, void *ctx)
{
}

START_TEST(test_text_without_memory_is_broken_and_stays_so)
{
    const jb_alloc none = {no_alloc, no_realloc, no_free, NULL};

    jbi_htext_init(&text, &none);
    jbi_htext_str(&text, "x");
    jbi_htext_printf(&text, "%d", 1);
    ck_assert(text.is_broken);
    ck_assert_uint_eq(text.len, 0);
    ck_assert_int_eq(jbi_cmdq_init(&queue, 4, &none), JB_ENOMEM);
}
END_TEST

HSUITE_MAIN("cmdq", test_lines_are_name_and_parameters_in_order,
            test_a_full_queue_drops_the_oldest_and_counts_it,
            test_only_whole_lines_within_the_limit, test_the_longest_command_fits_a_line,
            test_pushed_is_popped_dropped_or_waiting, test_json_text_is_escaped,
            test_text_without_memory_is_broken_and_stays_so)
