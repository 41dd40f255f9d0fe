/*
 * observe.c: a thread that calls the observer when it is time. The driver may take its time; the
 * server does not wait for it.
 */
#include "observe.h"

#include <signal.h>
#include <string.h>
#include <time.h>

/* Until it is time or the end; the lock is held. */
static void wait_ns(observe *o, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec += (long)(ns % 1000000000u);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&o->stop, &o->lock, &until);
}

static void *work(void *userdata)
{
    observe *o = userdata;

    pthread_mutex_lock(&o->lock);
    while (!o->is_stopped) {
        uint64_t next_ns = 1000000000;

        pthread_mutex_unlock(&o->lock);
        (void)jb_observer_step(o->observer, &next_ns);
        pthread_mutex_lock(&o->lock);
        if (!o->is_stopped)
            wait_ns(o, next_ns);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

int observe_start(observe *o, jb_coord *coord, jb_error *err)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int rc = jb_observer_open(coord, NULL, &o->observer, err);

    if (rc < 0)
        return rc;
    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->stop, &attr);
    pthread_condattr_destroy(&attr);
    /* Signals are the server's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&o->thread, NULL, work, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return 0;
    jb_observer_close(o->observer);
    o->observer = NULL;
    jb_error_init(err);
    strcpy(err->msg, "no thread to observe with");
    err->code = JB_ESYS;
    return JB_ESYS;
}

void observe_stop(observe *o)
{
    if (!o->observer)
        return;
    pthread_mutex_lock(&o->lock);
    o->is_stopped = 1;
    pthread_cond_signal(&o->stop);
    pthread_mutex_unlock(&o->lock);
    pthread_join(o->thread, NULL);
    jb_observer_close(o->observer);
    o->observer = NULL;
}
