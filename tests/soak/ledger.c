/*
 * ledger.c: see ledger.h.
 */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t n_snaps(uint64_t max_events)
{
    return max_events / SOAK_SNAP_EVERY + 1;
}

/* Pages that nobody touches cost nothing. */
static void *shared_pages(size_t len_bytes)
{
    void *at = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

struct ledger *ledger_create(uint64_t max_events)
{
    struct ledger *ledger = shared_pages(sizeof *ledger);

    if (!ledger)
        return NULL;
    ledger->max_events = max_events;
    ledger->order = shared_pages((max_events + 1) * sizeof *ledger->order);
    ledger->snaps = shared_pages(n_snaps(max_events) * sizeof *ledger->snaps);
    ledger->crew.fates = shared_pages((max_events + 1) * sizeof *ledger->crew.fates);
    if (ledger->order && ledger->snaps && ledger->crew.fates)
        return ledger;
    ledger_destroy(ledger);
    return NULL;
}

void ledger_destroy(struct ledger *ledger)
{
    if (!ledger)
        return;
    if (ledger->order)
        munmap((void *)ledger->order, (ledger->max_events + 1) * sizeof *ledger->order);
    if (ledger->crew.fates)
        munmap((void *)ledger->crew.fates, (ledger->max_events + 1) * sizeof *ledger->crew.fates);
    if (ledger->snaps)
        munmap(ledger->snaps, n_snaps(ledger->max_events) * sizeof *ledger->snaps);
    munmap(ledger, sizeof *ledger);
}

void ledger_fail(struct ledger *ledger, const char *format, ...)
{
    char text[sizeof ledger->failure];
    uint32_t none = 0;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* 1 while the text is being written, 2 when it is there. */
    if (!atomic_compare_exchange_strong(&ledger->failed, &none, 1))
        return;
    memcpy(ledger->failure, text, sizeof text);
    atomic_store(&ledger->failed, 2);
}

int ledger_order(struct ledger *ledger, uint64_t sequence, const struct soak_event *event)
{
    uint32_t is_high = event->priority == JB_PRIORITY_HIGH;
    uint16_t word = (uint16_t)((event->producer + 1) << 11 | event->topic << 8 | is_high << 7 |
                               (uint32_t)(event->number & 0x7f));
    uint16_t before = 0;

    if (sequence > ledger->max_events)
        return -1;
    return atomic_compare_exchange_strong(&ledger->order[sequence], &before, word) || before == word
               ? 0
               : -1;
}

void ledger_tally(const struct ledger *ledger, uint64_t sequence, struct tally *ret_tally)
{
    uint64_t snap = sequence / SOAK_SNAP_EVERY;

    *ret_tally = ledger->snaps[snap];
    for (uint64_t at = snap * SOAK_SNAP_EVERY + 1; at <= sequence; at++) {
        uint16_t word = atomic_load_explicit(&ledger->order[at], memory_order_relaxed);

        if (word)
            ret_tally->n[word >> 7 & 1][(word >> 11) - 1][word >> 8 & 7]++;
    }
}

bool ledger_account(const struct reader_row *row, struct account *ret_account)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t turn = atomic_load_explicit(&row->turn, memory_order_acquire);

        *ret_account = row->accounts[turn & 1];
        atomic_thread_fence(memory_order_acquire);
        /* After one more step of turn its owner writes the account we copied. */
        if (atomic_load_explicit(&row->turn, memory_order_relaxed) == turn)
            return true;
    }
    return false;
}

bool ledger_may_lack(const struct ledger *ledger, uint32_t producer, uint64_t first, uint64_t last,
                     uint32_t *hint)
{
    uint32_t n = atomic_load_explicit(&ledger->n_doubts[producer], memory_order_acquire);

    for (; *hint < n && first <= last; (*hint)++) {
        const struct doubt *doubt = &ledger->doubts[producer][*hint];

        if (doubt->last < first)
            continue;
        if (doubt->first != first || doubt->last > last)
            return false;
        first = doubt->last + 1;
    }
    return first > last;
}
