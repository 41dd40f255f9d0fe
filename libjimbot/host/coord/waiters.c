/*
 * waiters: see waiters.h.
 */
#include "host/coord/waiters.h"

#include "host/coord/coord_service.h"
#include "host/text/hmem.h"

jbi_coord_waiter *jbi_coord_waiter_new(jb_coord_service *s, const struct jbi_coord_op *op,
                                       jb_call *call, const jbi_coord_grant *grant)
{
    jbi_coord_waiter *w = jbi_hmem_zalloc(s->alloc, sizeof(*w));

    if (!w)
        return NULL;
    w->service = s;
    w->op = op;
    w->call = call;
    w->grant = *grant;
    w->begun_ns = jb_clock_now_ns();
    return w;
}

void jbi_coord_waiter_join(jbi_coord_waiter *w, jbi_coord_waiter **list,
                           void (*on_gone)(jb_call *call, void *w))
{
    w->list = list;
    w->next = *list;
    if (w->next)
        w->next->prev = w;
    *list = w;
    jb_call_on_close(w->call, on_gone, w);
}

void jbi_coord_waiter_free(jbi_coord_waiter *w)
{
    if (!w)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else if (w->list)
        *w->list = w->next;
    if (w->next)
        w->next->prev = w->prev;
    jbi_hmem_free(w->service->alloc, w, sizeof(*w));
}
