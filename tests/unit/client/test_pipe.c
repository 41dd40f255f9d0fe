/*
 * The pipe between a caller and the client's thread: order, bounds, dropping, two threads at once.
 */
#include "client/pipe.h"
#include "host/text/hmem.h"
#include "support/suite.h"

#include <pthread.h>
#include <sched.h>

static jbi_pipe pipe_;

static void open_pipe(void)
{
    ck_assert_int_eq(jbi_pipe_init(&pipe_, 4096, &jbi_hmem_libc), 0);
}

static void close_pipe(void)
{
    jbi_pipe_fini(&pipe_);
}

static bool put(uint64_t number, uint32_t n_bytes)
{
    uint8_t *to = jbi_pipe_claim(&pipe_, n_bytes);

    if (!to)
        return false;
    memset(to, (int)number, n_bytes);
    memcpy(to, &number, sizeof(number));
    jbi_pipe_commit(&pipe_);
    return true;
}

/* Take the oldest; its number, or UINT64_MAX. */
static uint64_t take(void)
{
    uint32_t place = jbi_pipe_pin(&pipe_), n_bytes;
    const uint8_t *record = jbi_pipe_next(&pipe_, &place, &n_bytes);
    uint64_t number = UINT64_MAX;
    uint32_t n_torn = 0;

    if (record) {
        memcpy(&number, record, sizeof(number));
        for (uint32_t i = sizeof(number); i < n_bytes; i++)
            n_torn += record[i] != (uint8_t)number;
    }
    jbi_pipe_release(&pipe_, place);
    if (n_torn)
        ck_abort_msg("%u bytes of record %llu are another's", n_torn, (unsigned long long)number);
    return number;
}

START_TEST(test_records_leave_in_order_across_many_turns)
{
    uint64_t in = 0, out = 0;

    for (int turn = 0; turn < 5000; turn++) {
        while (put(in, 8 + (uint32_t)(in * 37 % 900)))
            in++;
        for (int i = 0; i < 1 + turn % 4; i++)
            ck_assert_uint_eq(take(), out++);
    }
    while (out < in)
        ck_assert_uint_eq(take(), out++);
    ck_assert(jbi_pipe_is_empty(&pipe_));
    ck_assert_uint_eq(take(), UINT64_MAX);
}
END_TEST

START_TEST(test_the_largest_record_fits_wherever_the_ends_are)
{
    uint32_t max = jbi_pipe_record_max(&pipe_);

    ck_assert(!put(0, max + 1));
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert(put(i, 8 + (uint32_t)(i % 64) * 8));
        ck_assert_uint_eq(take(), i);
        ck_assert(put(i, max));
        ck_assert_uint_eq(take(), i);
    }
}
END_TEST

START_TEST(test_the_oldest_is_dropped_and_only_when_the_reader_has_nothing)
{
    uint32_t place, n_bytes;

    ck_assert(!jbi_pipe_drop(&pipe_));
    for (uint64_t i = 0; i < 3; i++)
        ck_assert(put(i, 100));
    ck_assert(jbi_pipe_drop(&pipe_));
    place = jbi_pipe_pin(&pipe_);
    ck_assert(!jbi_pipe_drop(&pipe_));
    ck_assert_ptr_nonnull(jbi_pipe_next(&pipe_, &place, &n_bytes));
    jbi_pipe_release(&pipe_, place);
    ck_assert(jbi_pipe_drop(&pipe_));
    ck_assert(!jbi_pipe_drop(&pipe_));
    ck_assert(jbi_pipe_is_empty(&pipe_));
}
END_TEST

START_TEST(test_a_claim_that_is_not_committed_is_not_there)
{
    ck_assert_ptr_nonnull(jbi_pipe_claim(&pipe_, 100));
    ck_assert(jbi_pipe_is_empty(&pipe_));
    ck_assert(put(7, 50));
    ck_assert_uint_eq(take(), 7);
    ck_assert_uint_eq(jbi_pipe_used(&pipe_), 0);
}
END_TEST

enum { N_RECORDS = 30000 };

static void *write_all(void *arg)
{
    uint64_t *n_dropped = arg;

    for (uint64_t i = 0; i < N_RECORDS;) {
        if (put(i, 8 + (uint32_t)(i % 200)))
            i++;
        else if (jbi_pipe_drop(&pipe_))
            ++*n_dropped;
        else
            sched_yield(); /* the reader has it pinned */
    }
    return NULL;
}

START_TEST(test_two_threads_lose_only_what_was_dropped)
{
    pthread_t writer;
    uint64_t n_dropped = 0, n_seen = 0, last = UINT64_MAX;

    pthread_create(&writer, NULL, write_all, &n_dropped);
    while (last != N_RECORDS - 1) {
        uint64_t number = take();

        if (number == UINT64_MAX) {
            sched_yield();
            continue;
        }
        ck_assert(last == UINT64_MAX || number > last);
        last = number;
        n_seen++;
    }
    pthread_join(writer, NULL);
    ck_assert_uint_eq(n_seen + n_dropped, N_RECORDS);
}
END_TEST

static void *no_memory(size_t size_bytes, void *ctx)
{
    return NULL;
}

START_TEST(test_no_memory_is_said)
{
    jb_alloc none = jbi_hmem_libc;
    jbi_pipe other;

    none.alloc = no_memory;
    ck_assert_int_eq(jbi_pipe_init(&other, 4096, &none), JB_ENOMEM);
    jbi_pipe_fini(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pipe");
    TCase *tc = suite_case(suite, "pipe");

    tcase_add_checked_fixture(tc, open_pipe, close_pipe);
    tcase_add_test(tc, test_records_leave_in_order_across_many_turns);
    tcase_add_test(tc, test_the_largest_record_fits_wherever_the_ends_are);
    tcase_add_test(tc, test_the_oldest_is_dropped_and_only_when_the_reader_has_nothing);
    tcase_add_test(tc, test_a_claim_that_is_not_committed_is_not_there);
    tcase_add_test(tc, test_two_threads_lose_only_what_was_dropped);
    tcase_add_test(tc, test_no_memory_is_said);
    return suite_run(suite);
}
