/*
 * observe.h: what is really used, read once a second beside the server.
 *
 * Invariant: the thread runs between observe_start() and observe_stop(), and nothing else touches
 * the observer.
 */
#ifndef COORDINATORD_OBSERVE_H
#define COORDINATORD_OBSERVE_H

#include <jimbot/jimbot.h>
#include <pthread.h>

typedef struct observe {
    jb_observer *observer; /* NULL: not started */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
    int is_stopped;
} observe;

/* Returns 0, or below 0 with err->msg. */
int observe_start(observe *o, jb_coord *coord, jb_error *err);

/* Wait for the thread, and let the driver go. */
void observe_stop(observe *o);

#endif
