/*
 * flow.c: one run: its ends are started, pinned, let go together and waited for.
 *
 * The clock is the reader's: it begins when the warm-up has been read and ends with the last event,
 * so starting and ending threads is in no figure.
 *
 * Invariant: a flow that returns has a figure or has ended the process with a word on the board.
 */
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t bench_capacity_bytes = 32u << 20;
double bench_run_s = 0.15;

struct end {
    struct flow *flow;
    unsigned idx;
    bool is_writer;
};

static unsigned n_cores(const struct flow *flow)
{
    cpu_set_t allowed;
    unsigned n = 1;

    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        n = (unsigned)CPU_COUNT(&allowed);
    return flow->shape.n_cores && flow->shape.n_cores < n ? flow->shape.n_cores : n;
}

/* Writers from the first allowed core on, then readers; round again when there are more. */
static void pin(const struct flow *flow, unsigned end)
{
    cpu_set_t allowed, mine;
    unsigned k;

    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return;
    k = end % n_cores(flow);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || k--)
            continue;
        CPU_ZERO(&mine);
        CPU_SET(cpu, &mine);
        (void)sched_setaffinity(0, sizeof mine, &mine);
        return;
    }
}

static void *end_main(void *arg)
{
    const struct end *end = arg;
    struct flow *flow = end->flow;

    pin(flow, end->is_writer ? end->idx : flow->shape.n_writers + end->idx);
    if (end->is_writer)
        flow->peer->write(flow, end->idx);
    else
        flow->peer->read(flow, end->idx);
    return NULL;
}

static void run_threads(struct flow *flow, struct end *ends, unsigned n_ends)
{
    pthread_t threads[2 * BENCH_MAX_ENDS];

    for (unsigned i = 0; i < n_ends; i++)
        if (pthread_create(&threads[i], NULL, end_main, &ends[i]))
            flow_fail(flow, "cannot make a thread");
    for (unsigned i = 0; i < n_ends; i++)
        pthread_join(threads[i], NULL);
}

static void run_processes(struct flow *flow, struct end *ends, unsigned n_ends)
{
    int status;

    for (unsigned i = 0; i < n_ends; i++) {
        pid_t pid = fork();

        if (pid < 0)
            flow_fail(flow, "cannot fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            end_main(&ends[i]);
            exit(0); /* some libraries sign off at exit */
        }
    }
    for (unsigned i = 0; i < n_ends; i++)
        if (wait(&status) < 0 || status)
            flow_fail(flow, "one end failed (wait status %#x)", (unsigned)status);
}

void flow_run(struct flow *flow)
{
    const struct shape *shape = &flow->shape;
    struct end ends[2 * BENCH_MAX_ENDS];
    unsigned n_ends = shape->n_writers + shape->n_readers;
    double ns = 0;

    flow->is_crowded = n_ends > n_cores(flow);
    if (flow->peer->prepare)
        flow->peer->prepare(flow);
    for (unsigned i = 0; i < n_ends; i++) {
        bool is_writer = i < shape->n_writers;

        ends[i] = (struct end){flow, is_writer ? i : i - shape->n_writers, is_writer};
    }
    if (flow->peer->is_across)
        run_processes(flow, ends, n_ends);
    else
        run_threads(flow, ends, n_ends);
    if (flow->board->figure.is_set)
        return;
    for (unsigned i = 0; i < shape->n_readers; i++)
        ns = flow->board->reader_ns[i] > ns ? flow->board->reader_ns[i] : ns;
    flow_figure(flow, ns);
}

void flow_ready(struct flow *flow)
{
    uint32_t n_ends = flow->shape.n_writers + flow->shape.n_readers;

    atomic_fetch_add(&flow->board->n_ready, 1);
    while (atomic_load(&flow->board->n_ready) < n_ends)
        sched_yield();
}

void flow_fail(struct flow *flow, const char *format, ...)
{
    struct figure *figure = &flow->board->figure;
    va_list args;

    if (!figure->word[0]) { /* the first word says more than those that follow from it */
        va_start(args, format);
        vsnprintf(figure->word, sizeof figure->word, format, args);
        va_end(args);
    }
    _exit(1);
}

void flow_figure(struct flow *flow, double ns)
{
    if (ns <= 0)
        flow_fail(flow, "nothing was measured");
    flow->board->figure.ns = ns;
    flow->board->figure.is_set = true;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void flow_samples(struct flow *flow, uint64_t *ticks, uint64_t n, double divisor)
{
    struct figure *figure = &flow->board->figure;

    qsort(ticks, n, sizeof ticks[0], by_size);
    figure->p50_ns = ticks_to_ns(ticks[n / 2]) / divisor;
    figure->p99_ns = ticks_to_ns(ticks[n - 1 - n / 100]) / divisor;
    figure->p999_ns = ticks_to_ns(ticks[n - 1 - n / 1000]) / divisor;
    flow_figure(flow, figure->p50_ns);
}

void *flow_memory(size_t n_bytes)
{
    void *memory = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (memory == MAP_FAILED) {
        perror("bench_bus: mmap");
        exit(1);
    }
    return memory;
}

void flow_yield(void)
{
    sched_yield();
}

void flow_wait_window(struct flow *flow, uint64_t n_written, uint64_t window)
{
    while (n_written > window + atomic_load_explicit(&flow->board->seen[0].n, memory_order_acquire))
        sched_yield();
}

void tally_begin(struct tally *tally, struct flow *flow, unsigned reader)
{
    memset(tally, 0, sizeof *tally);
    tally->flow = flow;
    tally->reader = reader;
    tally->n_all = flow_share(flow) * flow->shape.n_writers;
    tally->first_ns = now_ns();
}

/* A run too short to be measured, all read at one go, is reckoned from the first event on: good
 * enough for the harness to see that it wants more events. */
void tally_end(struct tally *tally)
{
    uint64_t n = tally->n - tally->n_begin, begin_ns = tally->begin_ns;

    if (n * 2 < tally->flow->shape.n_events) {
        n = tally->n;
        begin_ns = tally->first_ns;
    }
    tally->flow->board->reader_ns[tally->reader] = ((double)(now_ns() - begin_ns) + 1) / (double)n;
}

void tally_lost(struct tally *tally, uint64_t number, uint64_t last, size_t len_bytes)
{
    uint64_t writer = number >> 56;

    if (len_bytes != tally->flow->shape.len_bytes)
        flow_fail(tally->flow, "an event of %zu bytes came", len_bytes);
    if (number != last || writer >= BENCH_MAX_ENDS)
        flow_fail(tally->flow, "a torn event came: %#llx ends in %#llx", (unsigned long long)number,
                  (unsigned long long)last);
    flow_fail(tally->flow, "lost: number %llu came where %llu was due",
              (unsigned long long)(number & 0xffffffffffffff),
              (unsigned long long)tally->next[writer]);
}
