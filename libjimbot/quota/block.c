/*
 * block.c: where everything lies in a coordinator's block: one table after the other, each on a
 * cache line of its own, and the undo log behind them all, outside of what it can put back.
 */
#include "quota/books.h"

enum table {
    TABLE_HEAD,
    TABLE_RESOURCES,
    TABLE_COMPONENTS,
    TABLE_SHARES,
    TABLE_LEASES,
    TABLE_HEAP,
    TABLE_WAITERS,
    TABLE_FLOWS,
    TABLE_RECORDS,
    TABLE_LIMITS,
    TABLE_LOG,
    N_TABLES
};

enum { LINE = 64 };

static bool params_are_legal(const uint64_t params[JBI_QUOTA_PARAMS])
{
    return params[JBI_QUOTA_RESOURCES] >= 1 &&
           params[JBI_QUOTA_RESOURCES] <= JB_QUOTA_RESOURCES_MAX &&
           params[JBI_QUOTA_COMPONENTS] >= 1 &&
           params[JBI_QUOTA_COMPONENTS] <= JB_QUOTA_COMPONENTS_MAX &&
           params[JBI_QUOTA_LEASES] >= 1 && params[JBI_QUOTA_LEASES] <= 1048576 &&
           params[JBI_QUOTA_WAITERS] >= 1 && params[JBI_QUOTA_WAITERS] <= 65536 &&
           params[JBI_QUOTA_RECORDS] >= 16 && params[JBI_QUOTA_RECORDS] <= 1048576 &&
           (params[JBI_QUOTA_RECORDS] & (params[JBI_QUOTA_RECORDS] - 1)) == 0 &&
           params[JBI_QUOTA_LIMIT_BYTES] <= UINT64_C(1) << 32;
}

/* Where each table begins; the last is the end of the block. */
static void offsets(const uint64_t params[JBI_QUOTA_PARAMS], uint64_t ret[N_TABLES + 1])
{
    const uint64_t bytes[N_TABLES] = {
        [TABLE_HEAD] = sizeof(struct jbi_quota_head),
        [TABLE_RESOURCES] = params[JBI_QUOTA_RESOURCES] * sizeof(struct jbi_quota_resource),
        [TABLE_COMPONENTS] = params[JBI_QUOTA_COMPONENTS] * sizeof(struct jbi_quota_component),
        [TABLE_SHARES] = params[JBI_QUOTA_COMPONENTS] * params[JBI_QUOTA_RESOURCES] *
                         sizeof(struct jbi_quota_share),
        [TABLE_LEASES] = params[JBI_QUOTA_LEASES] * sizeof(struct jbi_quota_lease),
        [TABLE_HEAP] = params[JBI_QUOTA_LEASES] * sizeof(struct jbi_deadline),
        [TABLE_WAITERS] = params[JBI_QUOTA_WAITERS] * sizeof(struct jbi_quota_waiter),
        [TABLE_FLOWS] = params[JBI_QUOTA_WAITERS] * sizeof(struct jbi_quota_flow),
        [TABLE_RECORDS] = params[JBI_QUOTA_RECORDS] * sizeof(struct jbi_quota_record),
        [TABLE_LIMITS] = params[JBI_QUOTA_LIMIT_BYTES],
        [TABLE_LOG] = sizeof(struct jbi_undo_log),
    };
    uint64_t at = 0;

    for (int i = 0; i < N_TABLES; i++) {
        ret[i] = at;
        at += (bytes[i] + LINE - 1) / LINE * LINE;
    }
    ret[N_TABLES] = at;
}

uint64_t jbi_books_bytes(const uint64_t params[JBI_QUOTA_PARAMS])
{
    uint64_t at[N_TABLES + 1];

    if (!params_are_legal(params))
        return 0;
    offsets(params, at);
    return at[N_TABLES];
}

void jbi_books_place(struct jbi_books *books, void *block, const uint64_t params[JBI_QUOTA_PARAMS],
                     bool is_shared)
{
    uint8_t *base = block;
    uint64_t at[N_TABLES + 1];

    offsets(params, at);
    books->undo.log = is_shared ? (void *)(base + at[TABLE_LOG]) : NULL;
    books->undo.words = block;
    books->undo.n_words = at[TABLE_LOG] / sizeof(uint64_t);
    books->head = block;
    books->resources = (void *)(base + at[TABLE_RESOURCES]);
    books->components = (void *)(base + at[TABLE_COMPONENTS]);
    books->shares = (void *)(base + at[TABLE_SHARES]);
    books->leases = (void *)(base + at[TABLE_LEASES]);
    books->heap = (void *)(base + at[TABLE_HEAP]);
    books->waiters = (void *)(base + at[TABLE_WAITERS]);
    books->flows = (void *)(base + at[TABLE_FLOWS]);
    books->records = (void *)(base + at[TABLE_RECORDS]);
    books->limits = base + at[TABLE_LIMITS];
    books->limit_bytes = params[JBI_QUOTA_LIMIT_BYTES];
    books->n_resources = (uint32_t)params[JBI_QUOTA_RESOURCES];
    books->n_components = (uint32_t)params[JBI_QUOTA_COMPONENTS];
    books->n_leases = (uint32_t)params[JBI_QUOTA_LEASES];
    books->n_waiters = (uint32_t)params[JBI_QUOTA_WAITERS];
    books->n_records = (uint32_t)params[JBI_QUOTA_RECORDS];
}
