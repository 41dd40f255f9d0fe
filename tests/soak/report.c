/*
 * report.c: see report.h.
 */
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned long ul(uint64_t n)
{
    return (unsigned long)n;
}

static double seconds_since(uint64_t begin_ns)
{
    return (double)(jb_clock_now_ns() - begin_ns) / 1e9;
}

void report_progress(const struct soak *soak, const struct ledger *ledger)
{
    struct account auditor;

    if (!isatty(STDERR_FILENO) || !ledger_account(&ledger->readers[0], &auditor))
        return;
    fprintf(stderr,
            "\r%5.0f s  round %u, ring of %lu KiB: %lu events, %lu laps; in all %lu kills, %lu "
            "stops, %lu recoveries \033[K",
            seconds_since(soak->deeds.begin_ns), soak->round, ul(ledger->capacity_bytes >> 10),
            ul(auditor.n_events), ul(atomic_load(&ledger->auditor_bytes) / ledger->capacity_bytes),
            ul(soak->deeds.n_kills), ul(soak->deeds.n_stops), ul(soak->deeds.n_recovered));
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_times(const char *what, uint32_t *times_us, uint32_t n)
{
    if (n == 0)
        return;
    qsort(times_us, n, sizeof *times_us, by_size);
    printf("  %-42s median %.2f ms, 99 %% %.2f ms, most %.2f ms\n", what, times_us[n / 2] / 1e3,
           times_us[n - 1 - n / 100] / 1e3, times_us[n - 1] / 1e3);
}

static void print_roles(const struct soak *soak)
{
    printf("\n  %-15s %5s %7s %13s %15s %12s %13s\n", "reader", "at a", "lives", "events", "bytes",
           "missed", "passed over");
    for (uint32_t i = 0; i < soak_n_roles; i++) {
        const struct role_total *total = &soak->books.roles[i];

        if (soak_roles[i].is_reader && !soak_roles[i].is_worker)
            printf("  %-15s %5u %7lu %13lu %15lu %12lu %13lu\n", soak_roles[i].name,
                   soak_roles[i].n_actors, ul(total->n_lives), ul(total->n_events),
                   ul(total->n_bytes), ul(total->n_missed), ul(total->n_passed_over));
    }
    for (uint32_t i = 0; i < soak_n_roles; i++)
        if (!soak_roles[i].is_reader || soak_roles[i].is_worker)
            printf("  %-15s %5u %7lu\n", soak_roles[i].name, soak_roles[i].n_actors,
                   ul(soak->books.roles[i].n_lives));
}

void report_totals(struct soak *soak)
{
    const struct books *books = &soak->books;
    struct deeds *deeds = &soak->deeds;

    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    printf("soak: %.0f s in %u rounds, seed %lu: the books balance\n",
           seconds_since(deeds->begin_ns), soak->round, ul(soak->options.seed));
    printf("  published %lu events, %lu bytes; %lu laps of the ring\n", ul(books->n_published),
           ul(books->n_bytes), ul(books->n_laps));
    printf(
        "  processes %lu: killed %lu, and %lu by themselves amid their work; stopped %lu, asked to "
        "leave %lu\n",
        ul(deeds->n_starts), ul(deeds->n_kills), ul(deeds->n_own_deaths), ul(deeds->n_stops),
        ul(deeds->n_ends));
    printf("  in doubt after a kill %lu: published %lu, not published %lu, not settled 0\n",
           ul(books->n_doubted), ul(books->n_doubts_published),
           ul(books->n_doubted - books->n_doubts_published));
    printf("  claims that became nothing %lu; JB_EAGAIN %lu; accounts balanced %lu\n",
           ul(books->n_aborted), ul(books->n_full), ul(books->n_balanced));
    printf("  notices of the bus: orphaned claims %lu, revoked claims %lu (%lu owners told), dead "
           "readers %lu, evictions %lu\n",
           ul(books->n_notices[0]), ul(books->n_notices[1]), ul(books->n_revoked),
           ul(books->n_notices[2]), ul(books->n_notices[3]));
    printf("  requests answered %lu, timed out %lu; answers late or too many %lu\n",
           ul(books->n_replied), ul(books->n_timed_out), ul(books->n_late));
    printf(
        "  a group acknowledged %lu events, %lu were delivered again; %lu times it had no worker, "
        "and lost %lu and missed %lu\n",
        ul(books->group.n_acked), ul(books->group.n_redelivered), ul(books->n_gaps),
        ul(books->group.n_lost), ul(books->group.n_missed));
    printf("  recovered from %lu of %lu blows (1 to 7 kills at once); %u timed, nobody being "
           "stopped\n",
           ul(deeds->n_recovered), ul(deeds->n_kill_rounds), deeds->n_timed);
    if (deeds->n_halts)
        printf("  the machine gave the soak no turn %u times, for %.1f s at most; what was awaited "
               "then is not timed\n",
               deeds->n_halts, (double)deeds->longest_halt_ns / 1e9);
    print_times("kill to the next event read:", deeds->first_us, deeds->n_timed);
    print_times("kill to two rings read:", deeds->lap_us, deeds->n_timed);
    print_roles(soak);
}

void report_failure(const struct soak *soak, const struct ledger *ledger)
{
    printf("soak: VIOLATION in round %u, ring of %lu bytes, seed %lu\n  %s\n", soak->round,
           ul(ledger->capacity_bytes), ul(soak->options.seed), ledger->failure);
    printf("  the segment is in %s; again: --seed %lu\n", soak->folder, ul(soak->options.seed));
    printf("  the ledger:\n");
    for (uint32_t p = 0; p < SOAK_PRODUCERS; p++) {
        const struct producer_row *row = &ledger->producers[p];

        if (atomic_load(&row->about))
            printf("    producer %2u: about to publish %lu, published %lu, deaths in doubt %u, "
                   "found missing %lu\n",
                   p, ul(atomic_load(&row->about)), ul(atomic_load(&row->done)),
                   atomic_load(&ledger->n_doubts[p]), ul(ledger->n_holes[p]));
    }
    for (uint32_t r = 0, i = 0; i < soak_n_roles; i++)
        for (uint32_t k = 0; soak_roles[i].is_reader && k < soak_roles[i].n_actors; k++, r++) {
            const struct reader_row *row = &ledger->readers[r];
            const struct account *account = &row->accounts[atomic_load(&row->turn) & 1];

            printf("    reader %2u, %s: from event %lu to %lu; took %lu, missed %lu; phase %u\n", r,
                   soak_roles[i].name, ul(account_start(account)), ul(account_last(account)),
                   ul(account->n_events), ul(account->n_missed), atomic_load(&row->phase));
        }
}
