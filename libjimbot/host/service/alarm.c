/*
 * alarm: see alarm.h.
 */
#include "host/service/alarm.h"

#include "host/host.h"
#include "host/text/hmem.h"

struct jbi_alarm {
    uv_timer_t timer;
    jb_host *host;
    jbi_alarm_fn fn;
    void *userdata;
};

static void on_timer(uv_timer_t *timer)
{
    jbi_alarm *a = timer->data;

    a->fn(a->userdata);
}

static void on_closed(uv_handle_t *handle)
{
    jbi_alarm *a = handle->data;
    jb_host *host = a->host;

    jbi_hmem_free(host->alloc, a, sizeof(*a));
    jbi_host_handle_closed(host);
}

jbi_alarm *jbi_alarm_create(jb_host *host, jbi_alarm_fn fn, void *userdata)
{
    jbi_alarm *a = jbi_hmem_zalloc(host->alloc, sizeof(*a));

    if (!a)
        return NULL;
    uv_timer_init(host->loop, &a->timer);
    a->timer.data = a;
    a->host = host;
    a->fn = fn;
    a->userdata = userdata;
    host->n_handles++;
    return a;
}

void jbi_alarm_at(jbi_alarm *a, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(a->host->loop);

    /* One that is due at once and set again when it fires would be due again in the same turn of
     * the loop, which would never end. */
    uv_timer_start(&a->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 1, 0);
}

void jbi_alarm_destroy(jbi_alarm *a)
{
    if (a)
        uv_close((uv_handle_t *)&a->timer, on_closed);
}
