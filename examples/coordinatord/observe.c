/*
 * observe.c: a thread that calls the observer when it is time. The driver may take its time, also
 * for ever; neither the server nor its end waits for it.
 */
#include "observe.h"

#include <signal.h>
#include <string.h>
#include <time.h>

enum { PATIENCE_NS = 1000000000 };

/* Until something has changed, or the time is up; the lock is held. Returns what is left. */
static uint64_t wait_ns(observe *o, uint64_t ns)
{
    uint64_t until_ns = jb_clock_now_ns() + ns, now_ns;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ns / 1000000000u);
    until.tv_nsec += (long)(ns % 1000000000u);
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&o->changed, &o->lock, &until);
    now_ns = jb_clock_now_ns();
    return now_ns < until_ns ? until_ns - now_ns : 0;
}

static void observe_until_stopped(observe *o, jb_observer *observer)
{
    pthread_mutex_lock(&o->lock);
    while (!o->is_stopped) {
        uint64_t next_ns = 1000000000;
        int rc;

        pthread_mutex_unlock(&o->lock);
        rc = jb_observer_step(observer, &next_ns);
        pthread_mutex_lock(&o->lock);
        if (o->is_stopped)
            break;
        if (rc == 1)
            (void)jb_coord_service_observe(o->service, observer);
        wait_ns(o, next_ns);
    }
    pthread_mutex_unlock(&o->lock);
}

static void *work(void *userdata)
{
    observe *o = userdata;
    jb_observer *observer;
    jb_error err;

    jb_error_init(&err);
    if (jb_observer_open(o->coord, NULL, &observer, &err) == 0) {
        observe_until_stopped(o, observer);
        jb_observer_close(observer);
    } else {
        o->log(JB_LOG_ERROR, err.msg, NULL);
    }
    pthread_mutex_lock(&o->lock);
    o->is_done = 1;
    pthread_cond_broadcast(&o->changed);
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

int observe_start(observe *o, jb_error *err)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int rc;

    pthread_mutex_init(&o->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&o->changed, &attr);
    pthread_condattr_destroy(&attr);
    /* Signals are the server's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&o->thread, NULL, work, o);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    o->is_started = rc == 0;
    if (rc == 0)
        return 0;
    jb_error_init(err);
    strcpy(err->msg, "no thread to observe with");
    err->code = JB_ESYS;
    return JB_ESYS;
}

int observe_stop(observe *o)
{
    uint64_t left_ns = PATIENCE_NS;
    int is_done;

    if (!o->is_started)
        return 0;
    pthread_mutex_lock(&o->lock);
    o->is_stopped = 1;
    pthread_cond_broadcast(&o->changed);
    while (!o->is_done && left_ns > 0)
        left_ns = wait_ns(o, left_ns);
    is_done = o->is_done;
    pthread_mutex_unlock(&o->lock);
    if (is_done)
        return pthread_join(o->thread, NULL);
    pthread_detach(o->thread);
    o->log(JB_LOG_WARN, "the GPU driver does not answer: ending without it", NULL);
    return -1;
}
