/*
 * clock.h: the time of an event, cheaply.
 */
#ifndef JBI_BASE_CLOCK_H
#define JBI_BASE_CLOCK_H

#include <stdint.h>

/* The kernel's monotonic clock to within two microseconds, in half the time it takes to ask.
 * Two threads, or one across a moment of adjustment, may see it step back by less than that. */
uint64_t jbi_clock_event_ns(void);

#endif
