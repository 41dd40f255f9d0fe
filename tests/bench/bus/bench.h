/*
 * bench.h: what a measurement of the bus consists of, for the peers' files and the harness.
 *
 * A **peer** is one way to carry events from writers to readers: ours or somebody else's. A
 * **flow** is one run of a peer in a process of its own. Its ends are threads or processes, each
 * pinned.
 *
 * Invariant: a figure exists only for a run in which each reader saw each number of each writer,
 * in order. Whatever else happens is a word in place of the figure.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { BENCH_MAX_ENDS = 8, BENCH_LINE = 64 };

/* What is carried. A number is the writer's index in the top byte and a count below. */
struct shape {
    size_t len_bytes;
    unsigned n_writers, n_readers;
    unsigned batch;    /* events made visible at once */
    unsigned mode;     /* means what the peer says */
    unsigned n_cores;  /* the ends share so many; 0: all there are */
    uint64_t n_events; /* by all writers, after the first n_warm */
    uint64_t n_warm;   /* not measured: the ring is touched and the caches settle */
};

struct figure {
    bool is_set;
    double ns; /* for one event, at the slowest reader */
    double p50_ns, p99_ns, p999_ns;
    double turn_ns; /* what an event takes of a run's time, when that is another figure */
    char word[120]; /* why there is none */
};

/* Memory that all ends of a run and the harness see. */
struct board {
    _Atomic uint32_t n_ready;
    _Alignas(BENCH_LINE) struct {
        _Alignas(BENCH_LINE) _Atomic uint64_t n; /* events seen, now and then */
    } seen[BENCH_MAX_ENDS];
    _Alignas(BENCH_LINE) double reader_ns[BENCH_MAX_ENDS];
    struct figure figure;
};

struct flow {
    struct shape shape;
    const struct peer *peer;
    struct board *board;
    char name[64];   /* of a bus, a socket, a subject: of this run alone */
    bool is_crowded; /* more ends than cores: who waits gives way */
    void *state;     /* the peer's */
};

struct peer {
    const char *name;
    bool is_ring;               /* events lie in a ring of bench_capacity_bytes */
    bool is_across;             /* its ends are processes, not threads */
    const char *(*start)(void); /* its server, once for a row; a word when it cannot be had */
    void (*stop)(void);
    void (*prepare)(struct flow *flow); /* before the ends begin */
    void (*write)(struct flow *flow, unsigned idx);
    void (*read)(struct flow *flow, unsigned idx);
    void (*finish)(struct flow *flow); /* after they ended, and after a run that was killed */
};

/* Size of every ring in bytes, and the time one run should take. */
extern uint64_t bench_capacity_bytes;
extern double bench_run_s;

/* flow.c */
void flow_run(struct flow *flow);
void flow_ready(struct flow *flow); /* an end is; returns when all are */
_Noreturn void flow_fail(struct flow *flow, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void flow_figure(struct flow *flow, double ns); /* for a peer that measures itself */
void flow_samples(struct flow *flow, uint64_t *ticks, uint64_t n, double divisor);
void *flow_memory(size_t n_bytes); /* shared by all ends, zeroed, present */
void flow_wait_window(struct flow *flow, uint64_t n_written, uint64_t window);

/* server.c */
const char *server_path(const char *program);
int server_start(const char *path, const char *const *argv);
void server_stop(int pid);
int server_free_port(void);

/* clock.c: of the finest grain there is */
uint64_t ticks_now(void);
double ticks_to_ns(uint64_t ticks);

static inline uint64_t now_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void flow_yield(void);

static inline void flow_idle(const struct flow *flow)
{
    if (flow->is_crowded)
        flow_yield();
    else
        relax();
}

/* Events one writer writes, warm-up and all. */
static inline uint64_t flow_share(const struct flow *flow)
{
    return (flow->shape.n_warm + flow->shape.n_events) / flow->shape.n_writers;
}

/* The number is at both ends of an event, so that half an event is found out. */
static inline void stamp(uint8_t *bytes, size_t len_bytes, unsigned writer, uint64_t count)
{
    uint64_t number = (uint64_t)writer << 56 | count;

    memcpy(bytes, &number, sizeof number);
    memcpy(bytes + len_bytes - sizeof number, &number, sizeof number);
}

/* What one reader has seen. */
struct tally {
    struct flow *flow;
    unsigned reader;
    uint64_t n, n_all, n_begin, begin_ns, first_ns;
    uint64_t next[BENCH_MAX_ENDS];
};

void tally_begin(struct tally *tally, struct flow *flow, unsigned reader);
void tally_end(struct tally *tally);
_Noreturn void tally_lost(struct tally *tally, uint64_t number, uint64_t last, size_t len_bytes);

static inline void tally_see(struct tally *tally, const void *bytes, size_t len_bytes)
{
    uint64_t number, last;
    unsigned writer;

    memcpy(&number, bytes, sizeof number);
    memcpy(&last, (const uint8_t *)bytes + len_bytes - sizeof last, sizeof last);
    writer = (unsigned)(number >> 56);
    if (__builtin_expect(writer >= BENCH_MAX_ENDS || number != last ||
                             len_bytes != tally->flow->shape.len_bytes ||
                             (number & 0xffffffffffffff) != tally->next[writer],
                         0))
        tally_lost(tally, number, last, len_bytes);
    tally->next[writer]++;
    tally->n++;
}

/* After one event or a batch of them: true until the last one came. */
static inline bool tally_goes_on(struct tally *tally)
{
    if (__builtin_expect(!tally->begin_ns && tally->n >= tally->flow->shape.n_warm, 0)) {
        tally->begin_ns = now_ns();
        tally->n_begin = tally->n;
    }
    return tally->n < tally->n_all;
}

/* For peers that would swell or drop when the reader is behind: tell how far it is. */
static inline void tally_tell(struct tally *tally)
{
    if ((tally->n & 255) == 0 || tally->n == tally->n_all)
        atomic_store_explicit(&tally->flow->board->seen[tally->reader].n, tally->n,
                              memory_order_release);
}

#endif
