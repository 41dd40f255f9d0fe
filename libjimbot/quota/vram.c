/*
 * vram.c: the two ledgers of graphics memory, as arithmetic.
 *
 * Invariant: withheld + reserved is at least what is promised and at least what is used, whatever
 * the numbers are; nothing wraps, for they come from a driver and from other processes.
 */
#include "jimbot/observe.h"

#include <string.h>

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static jb_vram_claim *claim_of(jb_vram_claim *claims, uint32_t n_claims, uint32_t pid)
{
    for (uint32_t i = 0; pid != 0 && i < n_claims; i++) {
        if (claims[i].pid == pid)
            return &claims[i];
    }
    return NULL;
}

/* Lay the known use to the claims, what is known of others to `ret_foreign`. Returns whether use of
 * our own is not known. */
static bool lay_known(const jb_gpu_process *processes, uint32_t n_processes, jb_vram_claim *claims,
                      uint32_t n_claims, uint64_t *ret_foreign)
{
    bool is_vague = false;

    *ret_foreign = 0;
    for (uint32_t i = 0; i < n_processes; i++) {
        jb_vram_claim *claim = claim_of(claims, n_claims, processes[i].pid);
        uint64_t used = processes[i].used_bytes;

        if (claim && used == UINT64_MAX)
            is_vague = true;
        if (used == UINT64_MAX)
            continue;
        if (claim)
            claim->observed_bytes = add(claim->observed_bytes, used);
        else
            *ret_foreign = add(*ret_foreign, used);
    }
    return is_vague;
}

/* Of several under one process id, one whose use is not known. */
static const jb_gpu_process *process_of(const jb_gpu_process *processes, uint32_t n_processes,
                                        uint32_t pid)
{
    const jb_gpu_process *found = NULL;

    for (uint32_t i = 0; pid != 0 && i < n_processes; i++) {
        if (processes[i].pid != pid)
            continue;
        found = &processes[i];
        if (found->used_bytes == UINT64_MAX)
            break;
    }
    return found;
}

/* Lay use that belongs to nobody yet to those whose use is not known, up to their promises; returns
 * what is left. With a complete list only processes that are in it may be the ones. */
static uint64_t lay_rest(uint64_t rest, const jb_gpu_reading *reading,
                         const jb_gpu_process *processes, uint32_t n_processes,
                         jb_vram_claim *claims, uint32_t n_claims)
{
    for (uint32_t i = 0; i < n_claims && rest > 0; i++) {
        const jb_gpu_process *process = process_of(processes, n_processes, claims[i].pid);
        uint64_t room = less(claims[i].reserved_bytes, claims[i].observed_bytes);

        if (process ? process->used_bytes != UINT64_MAX : reading->is_complete)
            continue;
        if (room > rest)
            room = rest;
        claims[i].observed_bytes += room;
        rest -= room;
    }
    return rest;
}

/* A holder that is no process here may have any of the others do its work, so what they use is its
 * up to what it was promised; returns what is left. */
static uint64_t lay_foreign(uint64_t foreign, jb_vram_claim *claims, uint32_t n_claims)
{
    for (uint32_t i = 0; i < n_claims && foreign > 0; i++) {
        uint64_t room = less(claims[i].reserved_bytes, claims[i].observed_bytes);

        if (claims[i].pid != 0)
            continue;
        if (room > foreign)
            room = foreign;
        claims[i].observed_bytes += room;
        foreign -= room;
    }
    return foreign;
}

static void weigh(const jb_gpu_reading *reading, const jb_gpu_process *processes,
                  uint32_t n_processes, jb_vram_claim *claims, uint32_t n_claims, jb_vram_books *b)
{
    uint64_t foreign, known, rest;
    bool is_vague = lay_known(processes, n_processes, claims, n_claims, &foreign);

    known = foreign;
    for (uint32_t i = 0; i < n_claims; i++)
        known = add(known, claims[i].observed_bytes);
    rest = less(reading->used_bytes, known);
    if (is_vague || !reading->is_complete)
        rest = lay_rest(rest, reading, processes, n_processes, claims, n_claims);
    b->foreign_bytes = lay_foreign(add(foreign, rest), claims, n_claims);
    for (uint32_t i = 0; i < n_claims; i++)
        b->overuse_bytes =
            add(b->overuse_bytes, less(claims[i].observed_bytes, claims[i].reserved_bytes));
    b->observed_bytes = reading->used_bytes;
    b->withheld_bytes = add(b->foreign_bytes, b->overuse_bytes);
}

int jb_vram_weigh(const jb_gpu_reading *reading, const jb_gpu_process *processes,
                  uint32_t n_processes, jb_vram_claim *claims, uint32_t n_claims,
                  jb_vram_books *ret_books)
{
    jb_vram_books b = {.size = sizeof b};

    if (!reading || reading->size != sizeof *reading || (n_processes > 0 && !processes) ||
        (n_claims > 0 && !claims) || !ret_books || ret_books->size < sizeof(uint32_t) ||
        ret_books->size > sizeof b)
        return JB_EINVAL;
    for (uint32_t i = 0; i < n_claims; i++) {
        claims[i].observed_bytes = 0;
        b.reserved_bytes = add(b.reserved_bytes, claims[i].reserved_bytes);
    }
    b.total_bytes = reading->total_bytes;
    if (reading->state == JB_GPU_LOST)
        b.withheld_bytes = UINT64_MAX;
    else if (reading->state == JB_GPU_FINE && reading->used_bytes != UINT64_MAX)
        weigh(reading, processes, n_processes, claims, n_claims, &b);
    else
        b.is_blind = 1;
    b.size = ret_books->size;
    memcpy(ret_books, &b, b.size);
    return 0;
}

uint64_t jb_vram_room(const jb_vram_books *books, uint64_t capacity_bytes, uint64_t headroom_bytes)
{
    uint64_t taken;

    if (!books || books->size != sizeof *books)
        return 0;
    if (books->total_bytes != 0 && books->total_bytes < capacity_bytes)
        capacity_bytes = books->total_bytes;
    taken = add(add(books->reserved_bytes, books->withheld_bytes), headroom_bytes);
    return less(capacity_bytes, taken);
}
