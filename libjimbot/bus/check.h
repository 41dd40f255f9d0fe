/*
 * check.h: what the two files that examine a bus share: the copy of its segment, and what is told.
 *
 * Invariant: whatever is looked at was copied first. A word that another one explains is copied
 * before it, or both are copied again until neither changed.
 */
#ifndef JBI_BUS_CHECK_H
#define JBI_BUS_CHECK_H

#include "bus/bus_internal.h"
#include "jimbot/check.h"

enum { JBI_CHECK_LOOKS = 8 };

struct jbi_look {
    jb_bus bus; /* placed over the copy; no handle, no peer */
    jb_check *check;
    jb_check_fn fn;
    void *userdata;
    uint64_t log_read; /* position up to which the log has been copied */
    uint64_t
        still_groups; /* bit n: the copy of group n is of one instant, as far as its place goes */
};

static inline uint64_t jbi_look_offset(const struct jbi_look *look, const void *at)
{
    return (uint64_t)((const uint8_t *)at - look->bus.segment.base);
}

void jbi_look_report(struct jbi_look *look, jb_check_item *item);

__attribute__((format(printf, 4, 5))) void jbi_look_fault(struct jbi_look *look, uint64_t offset,
                                                          uint64_t position, const char *format,
                                                          ...);

/* Copies a stretch of the file to its place. */
int jbi_look_copy(struct jbi_look *look, uint64_t from, uint64_t to, jb_error *err);

/* Who a slot belongs to, if there is such a peer. */
void jbi_look_owner(struct jbi_look *look, uint32_t peer, jb_check_item *item);

/* Consumer groups. To be copied after the readers' slots and before the marks. */
int jbi_look_copy_groups(struct jbi_look *look, jb_error *err);
void jbi_look_check_groups(struct jbi_look *look);

#endif
