/*
 * run.c: measures a row: a first run of each entry finds out how many events a run should have,
 * then the entries take turns until each had its runs.
 *
 * A run is a process group of its own with a time limit, so a peer that hangs or crashes costs its
 * own figure and nothing else.
 */
#include "row.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUN_LIMIT_S = 20,
    N_FIRST = 2000, /* events of the first look */
    N_MOST = 40000000,
    N_LAPS = 8,
    MOST_STRETCH = 16,
    MOST_GROWTH = 64
};

static void make_flow(struct flow *flow, const struct entry *entry, struct board *board)
{
    static unsigned n_made;

    memset(board, 0, sizeof *board);
    *flow = (struct flow){.shape = entry->shape, .peer = entry->peer, .board = board};
    snprintf(flow->name, sizeof flow->name, "bench-%d-%u", (int)getpid(), n_made++);
}

static void end_run(struct flow *flow, pid_t pid, const char *word)
{
    kill(-pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (flow->peer->finish)
        flow->peer->finish(flow);
    if (!flow->board->figure.word[0])
        snprintf(flow->board->figure.word, sizeof flow->board->figure.word, "%s", word);
}

/* Ends of a run that is told to stop from outside. */
static void interrupted(const struct entry *entry, int signal_number)
{
    if (entry->peer->stop)
        entry->peer->stop();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    _exit(1);
}

static void wait_run(struct flow *flow, const struct entry *entry, pid_t pid)
{
    uint64_t end_ns = now_ns() + RUN_LIMIT_S * UINT64_C(1000000000), at_ns;
    sigset_t set;
    int status, got;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        struct timespec left;

        if ((at_ns = now_ns()) >= end_ns) {
            end_run(flow, pid, "hung: stopped after 20 seconds");
            return;
        }
        left.tv_sec = (time_t)((end_ns - at_ns) / 1000000000);
        left.tv_nsec = (long)((end_ns - at_ns) % 1000000000);
        got = sigtimedwait(&set, NULL, &left);
        if (got == SIGINT || got == SIGTERM) {
            end_run(flow, pid, "interrupted");
            interrupted(entry, got);
        }
    }
    if (status == 0)
        return;
    flow->board->figure.is_set = false;
    kill(-pid, SIGKILL);
    if (flow->peer->finish)
        flow->peer->finish(flow);
    if (!flow->board->figure.word[0])
        snprintf(flow->board->figure.word, sizeof flow->board->figure.word,
                 "crashed (wait status %#x)", (unsigned)status);
}

static struct figure run_once(const struct entry *entry, uint64_t n_events, uint64_t n_warm)
{
    static struct board *board;
    pid_t parent = getpid(), pid;
    struct flow flow;

    if (!board)
        board = flow_memory(sizeof *board);
    make_flow(&flow, entry, board);
    flow.shape.n_events = n_events;
    flow.shape.n_warm = n_warm;
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        snprintf(board->figure.word, sizeof board->figure.word, "cannot fork");
        return board->figure;
    }
    if (pid == 0) {
        sigset_t none;

        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        flow_run(&flow);
        if (flow.peer->finish)
            flow.peer->finish(&flow);
        exit(0);
    }
    setpgid(pid, pid);
    wait_run(&flow, entry, pid);
    return board->figure;
}

/* Events that fill the ring, if there is one. */
static uint64_t lap_of(const struct entry *entry)
{
    return entry->peer->is_ring ? bench_capacity_bytes / (entry->shape.len_bytes + 32) : 0;
}

/* What lies in the ring when the clock begins must not matter: N_LAPS of it are measured, unless
 * that takes far longer than a run should. */
static double enough_laps(const struct entry *entry, double want)
{
    double laps = (double)(N_LAPS * lap_of(entry));

    if (laps > want * MOST_STRETCH)
        laps = want * MOST_STRETCH;
    return laps > want ? laps : want;
}

static uint64_t warm_up(const struct entry *entry, uint64_t n_events)
{
    uint64_t lap = lap_of(entry) * 5 / 4;

    return lap > n_events / 8 ? lap : n_events / 8;
}

/* How many events take about bench_run_s: looks at ever longer runs. */
static bool choose_n(const struct entry *entry, struct result *result)
{
    uint64_t n = N_FIRST;

    for (int i = 0; i < 4; i++) {
        struct figure figure = run_once(entry, n, warm_up(entry, n));
        double want;

        if (!figure.is_set) {
            snprintf(result->word_text, sizeof result->word_text, "%s", figure.word);
            result->word = result->word_text;
            return false;
        }
        want = bench_run_s * 1e9 / (figure.turn_ns > 0 ? figure.turn_ns : figure.ns);
        want = enough_laps(entry, want);
        if (want < (double)n * 1.5 || n >= N_MOST)
            break;
        n = want > (double)n * MOST_GROWTH ? n * MOST_GROWTH : (uint64_t)want;
        n = n > N_MOST ? N_MOST : n;
    }
    result->n_events = n;
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof values[0], by_value);
    return values[n / 2];
}

struct runs {
    double ns[ROW_MAX_RUNS], p50[ROW_MAX_RUNS], p99[ROW_MAX_RUNS], p999[ROW_MAX_RUNS];
};

static void take_turns(const struct row *row, unsigned n_runs, struct runs *runs,
                       struct result *results)
{
    for (unsigned run = 0; run < n_runs; run++)
        for (int i = 0; i < ROW_MAX_ENTRIES && row->entries[i].peer; i++) {
            const struct entry *entry = &row->entries[i];
            struct result *result = &results[i];
            struct figure figure;

            if (result->word)
                continue;
            figure = run_once(entry, result->n_events, warm_up(entry, result->n_events));
            if (!figure.is_set) {
                snprintf(result->word_text, sizeof result->word_text, "%s", figure.word);
                result->word = result->word_text;
                continue;
            }
            runs[i].ns[result->n_runs] = figure.ns;
            runs[i].p50[result->n_runs] = figure.p50_ns;
            runs[i].p99[result->n_runs] = figure.p99_ns;
            runs[i].p999[result->n_runs++] = figure.p999_ns;
        }
}

void row_run(const struct row *row, unsigned n_runs, struct result *ret_results)
{
    struct runs *runs = calloc(ROW_MAX_ENTRIES, sizeof *runs);
    int n_entries = 0;

    memset(ret_results, 0, ROW_MAX_ENTRIES * sizeof *ret_results);
    for (; n_entries < ROW_MAX_ENTRIES && row->entries[n_entries].peer; n_entries++) {
        const struct entry *entry = &row->entries[n_entries];
        struct result *result = &ret_results[n_entries];

        if (entry->peer->start)
            result->word = entry->peer->start();
        if (!result->word)
            (void)choose_n(entry, result);
    }
    take_turns(row, n_runs, runs, ret_results);
    for (int i = 0; i < n_entries; i++) {
        struct result *result = &ret_results[i];

        if (row->entries[i].peer->stop)
            row->entries[i].peer->stop();
        if (result->word)
            continue;
        result->ns = median(runs[i].ns, result->n_runs);
        result->min_ns = runs[i].ns[0];
        result->max_ns = runs[i].ns[result->n_runs - 1];
        result->p50_ns = median(runs[i].p50, result->n_runs);
        result->p99_ns = median(runs[i].p99, result->n_runs);
        result->p999_ns = median(runs[i].p999, result->n_runs);
    }
    free(runs);
}
