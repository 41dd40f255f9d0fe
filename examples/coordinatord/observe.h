/*
 * observe.h: what is really used, read once a second beside the server and told to it.
 *
 * Invariant: only the thread between observe_start() and observe_stop() touches the observer; once
 * observe_stop() has begun it touches the service no more, even if a driver holds it for ever.
 */
#ifndef COORDINATORD_OBSERVE_H
#define COORDINATORD_OBSERVE_H

#include <jimbot/coordinator.h>
#include <jimbot/jimbot.h>
#include <pthread.h>

/* Where it lies must last as long as the process: see observe_stop(). */
typedef struct observe {
    jb_coord *coord;
    jb_coord_service *service;
    void (*log)(uint32_t level, const char *line, void *userdata);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* one of the two below */
    int is_stopped;
    int is_done;
    int is_started;
} observe;

/* Set coord, service and log before. Returns 0, or below 0 with err->msg. */
int observe_start(observe *o, jb_error *err);

/* Have the thread let the driver go and wait for it, for a second. Returns 0; or -1: the driver
 * does not answer, and the thread, which has the coordinator open, is left behind. */
int observe_stop(observe *o);

#endif
