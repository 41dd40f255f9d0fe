/*
 * deadlines.h: requests in flight by the time at which they run out.
 *
 * Invariant: a heap: no request runs out before the one at (i - 1) / 2. Each knows its place in it,
 * so that one that was answered leaves at once.
 */
#ifndef JBI_BUS_DEADLINES_H
#define JBI_BUS_DEADLINES_H

#include <stdint.h>

enum jbi_request_state {
    JBI_REQUEST_NONE,
    JBI_REQUEST_OPEN,
    JBI_REQUEST_ANSWERED,
    JBI_REQUEST_TIMED_OUT,
    JBI_REQUEST_CANCELLED
};

/* One request; once it has ended it is remembered until its place is needed. */
struct jbi_request {
    uint32_t id;
    uint32_t state; /* enum jbi_request_state */
    uint64_t sent_ns;
    uint64_t deadline_ns; /* UINT64_MAX: none */
    uint32_t at;          /* its place in the heap */
};

struct jbi_deadlines {
    struct jbi_request **heap;
    uint32_t n;
};

void jbi_deadlines_add(struct jbi_deadlines *deadlines, struct jbi_request *request);
void jbi_deadlines_remove(struct jbi_deadlines *deadlines, struct jbi_request *request);

#endif
