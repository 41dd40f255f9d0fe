/*
 * print.c: a row for people (a table on standard output) and for machines (JSON lines).
 *
 * Invariant: both say the same; a ratio is of medians.
 */
#include "row.h"

#include <unistd.h>

static const char *what(const struct entry *entry)
{
    return entry->what ? entry->what : entry->peer->name;
}

static double ratio(const struct row *row, double ours, double theirs)
{
    if (ours <= 0 || theirs <= 0)
        return 0;
    return row->sense == TIMES_AS_FAST ? theirs / ours : ours / theirs;
}

static bool is_reached(const struct row *row, double of, double wanted)
{
    return row->sense == TIMES_AS_FAST ? of >= wanted : of <= wanted;
}

static const char *sign(const struct row *row)
{
    return row->sense == TIMES_AS_FAST ? ">=" : "<=";
}

void print_head(unsigned n_runs)
{
    printf("Medians of %u runs, entries of a row in turns; cores %s; rings of %llu KiB.\n"
           "The ratio is the first line's (ours) to this line's: \"3.0x >= 2.5 reached\" says that "
           "ours is\n3.0 times as fast, and that 2.5 was wanted; \"<=\" is of time: less is better."
           "\n",
           n_runs, "pinned in order: writers, then readers",
           (unsigned long long)(bench_capacity_bytes >> 10));
    if (sysconf(_SC_NPROCESSORS_ONLN) < 4)
        printf("This machine has %ld cores.\n", sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_ratio(const struct row *row, double of, double wanted)
{
    char text[32] = "";

    if (wanted > 0)
        snprintf(text, sizeof text, "%s %.4g %s", sign(row), wanted,
                 is_reached(row, of, wanted) ? "reached" : "short");
    printf("  %7.2fx %-15s", of, text);
}

static void print_figures(const struct row *row, const struct result *result)
{
    if (row->is_latency)
        printf(" %9.1f %9.1f %9.1f  %.4g..%.4g\n", result->p50_ns, result->p99_ns, result->p999_ns,
               result->min_ns, result->max_ns);
    else
        printf(" %9.3f %9.1f  %.4g..%.4g\n", 1e3 / result->ns, result->ns, result->min_ns,
               result->max_ns);
}

void print_row(const struct row *row, const struct result *results)
{
    const struct result *ours = &results[0];

    printf("\n%s: %s%s%s\n", row->name, row->title, row->aim ? "; aim " : "",
           row->aim ? row->aim : "");
    printf("  %-24s%s%-44s %s\n", "   ratio", row->is_latency ? "  p99 ratio               " : "",
           "",
           row->is_latency ? " p50 ns    p99 ns  p99.9 ns  p50 least..most"
                           : "   M/s  ns/event  least..most");
    for (int i = 0; i < ROW_MAX_ENTRIES && row->entries[i].peer; i++) {
        const struct entry *entry = &row->entries[i];
        const struct result *result = &results[i];

        if (i == 0 || result->word || ours->word) {
            printf("  %24s%s", "", row->is_latency ? "                          " : "");
        } else {
            print_ratio(row, ratio(row, ours->ns, result->ns), entry->wanted);
            if (row->is_latency)
                print_ratio(row, ratio(row, ours->p99_ns, result->p99_ns), entry->wanted_p99);
        }
        printf("%-44s", what(entry));
        if (result->word)
            printf("  -- %s\n", result->word);
        else
            print_figures(row, result);
    }
    fflush(stdout);
}

static void json_ratio(FILE *to, const struct row *row, const char *name, double of, double wanted)
{
    fprintf(to, ",\"%s\":%.4f", name, of);
    if (wanted > 0)
        fprintf(to, ",\"%s_wanted\":\"%s %.4g\",\"%s_reached\":%s", name, sign(row), wanted, name,
                is_reached(row, of, wanted) ? "true" : "false");
}

void print_json(FILE *to, const struct row *row, const struct result *results)
{
    const struct result *ours = &results[0];

    for (int i = 0; i < ROW_MAX_ENTRIES && row->entries[i].peer; i++) {
        const struct entry *entry = &row->entries[i];
        const struct result *result = &results[i];

        fprintf(to,
                "{\"name\":\"bus.%s\",\"what\":\"%s\",\"bytes\":%zu,\"writers\":%u,"
                "\"readers\":%u,\"ring_bytes\":%llu",
                row->name, what(entry), entry->shape.len_bytes, entry->shape.n_writers,
                entry->shape.n_readers, (unsigned long long)bench_capacity_bytes);
        if (result->word) {
            fprintf(to, ",\"skipped\":\"%s\"}\n", result->word);
            continue;
        }
        fprintf(to,
                ",\"ops\":%llu,\"runs\":%u,\"ns_per_op\":%.2f,\"ops_per_s\":%.0f,"
                "\"min_ns\":%.2f,\"max_ns\":%.2f",
                (unsigned long long)result->n_events, result->n_runs, result->ns, 1e9 / result->ns,
                result->min_ns, result->max_ns);
        if (row->is_latency)
            fprintf(to, ",\"p50_ns\":%.1f,\"p99_ns\":%.1f,\"p999_ns\":%.1f", result->p50_ns,
                    result->p99_ns, result->p999_ns);
        if (i && !ours->word) {
            json_ratio(to, row, "ratio", ratio(row, ours->ns, result->ns), entry->wanted);
            if (row->is_latency)
                json_ratio(to, row, "ratio_p99", ratio(row, ours->p99_ns, result->p99_ns),
                           entry->wanted_p99);
        }
        fputs("}\n", to);
    }
    fflush(to);
}
