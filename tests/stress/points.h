/*
 * points.h: a death, or a stop, at every step of a child: what the child does, and how the others
 * go on and count.
 *
 * The core is the one compiled with a hook before each atomic operation and in the middle of each
 * memcpy() (tests/support/step.h). A child sends itself the signal at its N-th step; N grows until
 * the child comes to its end.
 *
 * Invariant: every event says who published it as which one, and each of its words says so too; a
 * parent reads all there are, each once, whole and in order.
 */
#ifndef TEST_POINTS_H
#define TEST_POINTS_H

#include "support/suite.h"

#include <sys/types.h>

/* A look for the dead comes every 10 ms, a sleeper's look-up every 50 ms. What a busy machine adds
 * is not the library's: so most ways on must be short, and none may hang. */
#define AT_ONCE_NS     UINT64_C(1000000000)
#define HANG_NS        UINT64_C(20000000000)
#define STALL_AFTER_NS UINT64_C(20000000)

enum { ROUNDS_MAX = 1000, EVENT_BYTES = 4000, LAP = 20, CHILD_EVENTS = 3, EXIT_CANCELLED = 7 };

/* Who published an event, in the upper half of its number. */
enum { BY_CHILD = 1, BY_PARENT, BY_THIRD };

extern char points_name[64]; /* of the bus */

/* The child: what it does before and while its steps are counted. */
struct child {
    jb_bus *bus;
    jb_sub *sub;
};

struct task {
    const char *what;
    void (*prepare)(struct child *child);
    int (*run)(struct child *child); /* its exit status */
};

void attach(struct child *child);
void attach_and_subscribe(struct child *child);
void subscribe_and_publish(struct child *child);
int run_publish(struct child *child);
int run_open(struct child *child);
int run_close(struct child *child);
int run_subscribe(struct child *child);
int run_read(struct child *child);
int run_wait(struct child *child);

/* Starts one that does the task and sends itself that signal at that step. */
pid_t child_start(const struct task *task, uint64_t at, int kind);

/* The parent: it and a third process go on, and count. */
struct parent {
    jb_bus *bus;
    jb_sub *sub;
    uint64_t last;        /* sequence number */
    uint64_t n_published; /* by the parent */
    uint64_t n_third;     /* third processes there were, and read */
    uint64_t n_third_read;
    uint64_t n_parent_read;
    uint64_t n_child;             /* read in this round */
    uint64_t took_ns[ROUNDS_MAX]; /* to go on */
    size_t n_rounds;
};

void parent_begin(struct parent *p, uint64_t stall_after_ns);

/* On the bus of points_name. */
void parent_open(struct parent *p, uint32_t start);

/* After a death: everybody goes on, and all there is is read. */
void go_on(struct parent *p, unsigned n_events);

/* Beside one that stands: as far as the protocol lets them, which is n_sure events at least. */
void go_on_beside(struct parent *p, unsigned n_events, unsigned n_sure);

/* Closes, and nothing is left. */
void parent_close(struct parent *p);

/* How long it took, which must be at once mostly. */
void report(struct parent *p, const char *how, const char *what, uint64_t n);

/* Under a sanitizer, where a process costs twenty milliseconds, not every step is tried. */
static inline uint64_t next_step(uint64_t n)
{
    return n + POINTS_STRIDE;
}

#endif
