/*
 * alarm: one timer of somebody who may be gone before libuv has let go of it.
 *
 * Invariant: fn is called at most once for each jbi_alarm_at(), never after jbi_alarm_destroy().
 */
#ifndef JBI_HOST_ALARM_H
#define JBI_HOST_ALARM_H

#include <stdint.h>

struct jb_host;

typedef struct jbi_alarm jbi_alarm;
typedef void (*jbi_alarm_fn)(void *userdata);

/* NULL when there is no memory. */
jbi_alarm *jbi_alarm_create(struct jb_host *host, jbi_alarm_fn fn, void *userdata);

/* Go off at that time of the loop's clock, whatever was set before. */
void jbi_alarm_at(jbi_alarm *alarm, uint64_t at_ms);

/* NULL is fine. */
void jbi_alarm_destroy(jbi_alarm *alarm);

#endif
