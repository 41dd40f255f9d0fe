/*
 * ours.h: an end's handle on our bus, for every file here that measures it.
 */
#ifndef BENCH_OURS_H
#define BENCH_OURS_H

#include "bench.h"
#include "jimbot/jimbot.h"

/* Bits of shape.mode for our peers. A reader that finds nothing waits as best suits the machine,
 * busily where every end has a core to itself, or as said here. */
enum {
    OURS_CLAIM = 1,    /* claim, write in place, commit, instead of publishing by copy */
    OURS_COPY_OUT = 2, /* the reader copies each payload out instead of reading it in place */
    OURS_BLOCK = 4,    /* a reader with nothing to read sleeps in the kernel at once */
    OURS_SPIN = 8,     /* it spins for OURS_SPIN_NS first */
    OURS_MANY = 16     /* filter.c: ten thousand patterns instead of one */
};

enum { OURS_PEEK = 256, OURS_BATCH_MOST = 256, OURS_SPIN_NS = 1000000 };

extern const struct peer ours_inside; /* threads of one process on one handle */
extern const struct peer ours_across; /* processes */

void ours_create(struct flow *flow, uint32_t max_subs);
jb_bus *ours_open(struct flow *flow);
void ours_close(struct flow *flow, jb_bus *bus);
void ours_remove(struct flow *flow);
uint32_t ours_topic(struct flow *flow, jb_bus *bus, const char *name);
jb_sub *ours_subscribe(struct flow *flow, jb_bus *bus, const char *pattern, uint32_t policy);
void ours_write(struct flow *flow, unsigned idx);
void ours_read(struct flow *flow, unsigned idx);
void ours_send(struct flow *flow, jb_bus *bus, uint32_t topic_id, const uint8_t *bytes);
void ours_receive(struct flow *flow, jb_sub *sub, unsigned idx);

#endif
