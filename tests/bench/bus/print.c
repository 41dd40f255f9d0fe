/*
 * print.c: a row for people (a table on standard output) and for machines (JSON lines).
 *
 * Invariant: both say the same; a ratio is of medians.
 */
#include "row.h"

#include <stdlib.h>
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

/* The processor as it calls itself. */
static const char *processor(void)
{
    static char line[256];
    FILE *info = fopen("/proc/cpuinfo", "r");
    char *colon;

    while (info && fgets(line, sizeof line, info))
        if (!strncmp(line, "model name", 10) && (colon = strchr(line, ':'))) {
            fclose(info);
            colon[strcspn(colon, "\n")] = 0;
            return colon + 2;
        }
    if (info)
        fclose(info);
    return "a processor without a name";
}

void print_head(unsigned n_runs)
{
    double load = 0;

    (void)getloadavg(&load, 1);
    printf(
        "Medians of %u runs; the entries of a row take turns. Cores pinned: writers, then readers."
        "\n%ld cores, %s. Rings of %llu KiB. Load before: %.1f%s.\n"
        "A ratio compares ours (a row's first line) with that line: \"3.0x >= 2.5 reached\" is "
        "ours 3 times\nas fast where 2.5 was wanted; with \"<=\" it is of time, and less is "
        "better.\n",
        n_runs, sysconf(_SC_NPROCESSORS_ONLN), processor(),
        (unsigned long long)(bench_capacity_bytes >> 10), load,
        load > 0.5 ? " (others are at work: figures are disturbed)" : "");
}

/* What was wanted and whether it is so, with the ratio before it. */
static void print_ratio(const struct row *row, double of, double wanted)
{
    char text[32] = "";

    if (wanted > 0)
        snprintf(text, sizeof text, "%s %.4g %s", sign(row), wanted,
                 is_reached(row, of, wanted) ? "reached" : "short");
    printf("%8.2fx %-15s", of, text);
}

static void print_columns(const struct row *row)
{
    if (row->is_latency)
        printf("  %-25s %-25s %-42s %9s %9s %9s  %s\n", "   ratio of p50", "   ratio of p99", "",
               "p50 ns", "p99 ns", "p99.9 ns", "p50 least..most");
    else
        printf("  %-25s %-42s %9s %9s  %s\n", "   ratio", "", "M/s", "ns/event", "ns least..most");
}

static void print_figures(const struct row *row, const struct result *result)
{
    if (row->is_latency)
        printf(" %9.1f %9.1f %9.1f  %.1f..%.1f\n", result->p50_ns, result->p99_ns, result->p999_ns,
               result->min_ns, result->max_ns);
    else
        printf(" %9.3f %9.1f  %.1f..%.1f\n", 1e3 / result->ns, result->ns, result->min_ns,
               result->max_ns);
}

static void print_entry(const struct row *row, const struct result *ours, const struct entry *entry,
                        const struct result *result)
{
    bool is_compared = result != ours && !result->word && !ours->word;

    printf("  ");
    if (is_compared)
        print_ratio(row, ratio(row, ours->ns, result->ns), entry->wanted);
    else
        printf("%25s", "");
    if (row->is_latency && is_compared) {
        putchar(' ');
        print_ratio(row, ratio(row, ours->p99_ns, result->p99_ns), entry->wanted_p99);
    } else if (row->is_latency)
        printf("%26s", "");
    printf(" %-42s", what(entry));
    if (result->word)
        printf("  -- %s\n", result->word);
    else
        print_figures(row, result);
}

void print_row(const struct row *row, const struct result *results)
{
    printf("\n%s: %s%s%s\n", row->name, row->title, row->aim ? "; aim " : "",
           row->aim ? row->aim : "");
    print_columns(row);
    for (int i = 0; i < ROW_MAX_ENTRIES && row->entries[i].peer; i++)
        print_entry(row, &results[0], &row->entries[i], &results[i]);
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
