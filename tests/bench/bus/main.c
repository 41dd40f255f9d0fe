/*
 * main.c: bench_bus: what the bus costs, with peers beside it in the same run.
 *
 *     bench_bus [--quick] [--runs N] [--seconds S] [--ring BYTES] [--json FILE] [--list] [row…]
 *
 * A row is chosen by its name or by the beginning of it. The table goes to standard output and
 * JSON lines to FILE ("-": JSON lines to standard output and no table).
 */
#include "row.h"

#include <signal.h>
#include <stdlib.h>

struct command {
    unsigned n_runs;
    const char *json_path;
    char **names;
    int n_names;
};

static _Noreturn void usage(void)
{
    fputs("usage: bench_bus [--quick] [--runs N] [--seconds S] [--ring BYTES] [--json FILE] "
          "[--list] [row…]\n",
          stderr);
    exit(2);
}

static _Noreturn void list(void)
{
    for (size_t i = 0; i < bench_n_rows; i++)
        printf("%-12s %s\n", bench_rows[i].name, bench_rows[i].title);
    exit(0);
}

static const char *value(int argc, char **argv, int *at)
{
    if (++*at >= argc)
        usage();
    return argv[*at];
}

static void parse(int argc, char **argv, struct command *command)
{
    int i = 1;

    *command = (struct command){.n_runs = 7};
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--quick")) {
            command->n_runs = 3;
            bench_run_s = 0.03;
        } else if (!strcmp(argv[i], "--runs")) {
            command->n_runs = (unsigned)strtoul(value(argc, argv, &i), NULL, 10);
        } else if (!strcmp(argv[i], "--seconds")) {
            bench_run_s = strtod(value(argc, argv, &i), NULL);
        } else if (!strcmp(argv[i], "--ring")) {
            bench_capacity_bytes = strtoull(value(argc, argv, &i), NULL, 10);
        } else if (!strcmp(argv[i], "--json")) {
            command->json_path = value(argc, argv, &i);
        } else if (!strcmp(argv[i], "--list")) {
            list();
        } else {
            usage();
        }
    }
    if (command->n_runs < 1 || command->n_runs > ROW_MAX_RUNS || bench_run_s <= 0 ||
        bench_capacity_bytes < 65536 || (bench_capacity_bytes & (bench_capacity_bytes - 1)))
        usage();
    command->names = argv + i;
    command->n_names = argc - i;
}

static bool is_chosen(const struct row *row, const struct command *command)
{
    if (command->n_names == 0)
        return true;
    for (int i = 0; i < command->n_names; i++)
        if (!strncmp(row->name, command->names[i], strlen(command->names[i])))
            return true;
    return false;
}

/* A child's end and an interruption are waited for, not delivered. */
static void block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run_rows(const struct command *command, FILE *json)
{
    struct result results[ROW_MAX_ENTRIES];
    int n_run = 0, n_failed = 0;

    for (size_t i = 0; i < bench_n_rows; i++) {
        const struct row *row = &bench_rows[i];

        if (!is_chosen(row, command))
            continue;
        n_run++;
        row_run(row, command->n_runs, results);
        if (json != stdout)
            print_row(row, results);
        if (json)
            print_json(json, row, results);
        n_failed += results[0].word != NULL;
    }
    if (n_run == 0) {
        fputs("bench_bus: there is no such row; --list names them\n", stderr);
        return 2;
    }
    return n_failed ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct command command;
    FILE *json = NULL;

    parse(argc, argv, &command);
    if (command.json_path && !strcmp(command.json_path, "-"))
        json = stdout;
    else if (command.json_path && !(json = fopen(command.json_path, "w"))) {
        perror(command.json_path);
        return 1;
    }
    block_signals();
    (void)ticks_to_ns(1); /* finds the clock's rate before anything is forked */
    if (json != stdout)
        print_head(command.n_runs);
    return run_rows(&command, json);
}
