/*
 * record.c: what happened, in a ring that whoever wants to know reads behind.
 *
 * Invariant: a record is written before the count that makes it one, and only the count is in the
 * undo log; a step that is rolled back never happened here either, though what it wrote may have
 * taken the place of the oldest. Who reads too late is told how many are gone.
 */
#include "quota/coord.h"

static struct jbi_quota_record *record_at(const struct jbi_books *books, uint64_t sequence)
{
    return &books->records[sequence & (books->n_records - 1)];
}

void jbi_record_one(const struct jbi_books *books, const struct jbi_happening *what,
                    const struct jbi_want *want, uint32_t idx, uint32_t n_more)
{
    uint64_t sequence = books->head->n_records;
    struct jbi_quota_record *record = record_at(books, sequence);

    /* First, so that nobody takes what is half written, or never became one, for what was here. */
    record->sequence = sequence;
    atomic_signal_fence(memory_order_seq_cst);
    record->time_ns = books->head->now_ns;
    record->token = what->token;
    record->amount = want->amount[idx];
    record->value = what->value_ns;
    record->tag = want->tag;
    record->who = jbi_who_pack(want);
    record->what = what->kind | (uint64_t)what->reason << 8 | (uint64_t)want->resource[idx] << 16 |
                   (uint64_t)n_more << 24 | (uint64_t)what->slot << 32;
    jbi_undo_set(&books->undo, &books->head->n_records, sequence + 1);
}

void jbi_record_want(const struct jbi_books *books, const struct jbi_happening *what,
                     const struct jbi_want *want)
{
    for (uint32_t i = 0; i < want->n; i++)
        jbi_record_one(books, what, want, i, want->n - 1 - i);
}

uint32_t jbi_bucket_of(uint64_t ns)
{
    uint64_t us = ns / 1000;
    uint32_t bits = us ? 64 - (uint32_t)__builtin_clzll(us) : 0;
    uint32_t bucket = (bits + 1) / 2;

    return bucket < JB_QUOTA_BUCKETS ? bucket : JB_QUOTA_BUCKETS - 1;
}

static void record_show(const struct jbi_quota_record *record, jb_record *ret_record)
{
    *ret_record = (jb_record){
        .sequence = record->sequence,
        .time_ns = record->time_ns,
        .token = record->token,
        .amount = record->amount,
        .value_ns = record->value,
        .tag = record->tag,
        .kind = (uint32_t)record->what & 0xff,
        .reason = (uint32_t)(record->what >> 8) & 0xff,
        .resource = (uint32_t)(record->what >> 16) & 0xff,
        .n_more = (uint32_t)(record->what >> 24) & 0xff,
        .slot = (uint32_t)(record->what >> 32),
        .component = (uint32_t)record->who & 0xffff,
        .lease_class = jbi_who_class(record->who) + 1,
        .peer = jbi_who_peer(record->who),
    };
}

int jb_coord_next_record(jb_coord *coord, uint64_t *cursor, jb_record *ret_record,
                         uint64_t *ret_lost)
{
    const struct jbi_books *books;
    uint64_t n, oldest, lost = 0;
    int rc;

    if (!coord || !cursor || !ret_record)
        return JB_EINVAL;
    rc = jbi_coord_enter(coord);
    if (rc)
        return rc;
    books = &coord->books;
    n = books->head->n_records;
    oldest = n > books->n_records ? n - books->n_records : 0;
    if (*cursor < oldest) {
        lost = oldest - *cursor;
        *cursor = oldest;
    }
    for (; *cursor < n && record_at(books, *cursor)->sequence != *cursor; (*cursor)++)
        lost++;
    if (*cursor < n) {
        record_show(record_at(books, *cursor), ret_record);
        (*cursor)++;
        rc = 1;
    }
    if (ret_lost)
        *ret_lost = lost;
    jbi_coord_leave(coord);
    return rc;
}
