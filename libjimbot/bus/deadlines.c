/*
 * deadlines.c: see deadlines.h.
 */
#include "bus/deadlines.h"

static void put(struct jbi_deadlines *deadlines, uint32_t at, struct jbi_request *request)
{
    deadlines->heap[at] = request;
    request->at = at;
}

static void rise(struct jbi_deadlines *deadlines, uint32_t at, struct jbi_request *request)
{
    while (at > 0 && deadlines->heap[(at - 1) / 2]->deadline_ns > request->deadline_ns) {
        put(deadlines, at, deadlines->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(deadlines, at, request);
}

static void sink(struct jbi_deadlines *deadlines, uint32_t at, struct jbi_request *request)
{
    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < deadlines->n &&
            deadlines->heap[child + 1]->deadline_ns < deadlines->heap[child]->deadline_ns)
            child++;
        if (child >= deadlines->n || deadlines->heap[child]->deadline_ns >= request->deadline_ns)
            break;
        put(deadlines, at, deadlines->heap[child]);
        at = child;
    }
    put(deadlines, at, request);
}

void jbi_deadlines_add(struct jbi_deadlines *deadlines, struct jbi_request *request)
{
    rise(deadlines, deadlines->n++, request);
}

void jbi_deadlines_remove(struct jbi_deadlines *deadlines, struct jbi_request *request)
{
    struct jbi_request *last = deadlines->heap[--deadlines->n];
    uint32_t at = request->at;

    if (last == request)
        return;
    sink(deadlines, at, last);
    rise(deadlines, last->at, last);
}
