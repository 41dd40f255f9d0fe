/*
 * watches: clients that are told of the end of a lease, and whose going may be its end; see
 * coord_service.h.
 *
 * That a lease has ended is seen by asking, how by the records, which may come a little later, or
 * not at all when too many were written at once.
 */
#include "host/coord/coord_service.h"

#include "host/text/hmem.h"
#include "host/text/msgfield.h"

static void forget(jbi_coord_watch *w)
{
    jb_coord_service *s = w->service;

    if (w->prev)
        w->prev->next = w->next;
    else
        s->watches = w->next;
    if (w->next)
        w->next->prev = w->prev;
    jbi_hmem_free(s->alloc, w, sizeof(*w));
}

/* The client has gone, and with it a lease that it kept; unless it is us who go. */
static void on_gone(jb_call *call, void *userdata)
{
    jbi_coord_watch *w = userdata;
    jb_coord_service *s = w->service;

    if (w->is_kept && !jbi_coord_is_stopping(s))
        jb_lease_release(s->coord, &w->lease);
    forget(w);
    jbi_coord_due_in(s, 0);
}

void jbi_coord_note_end(jb_coord_service *s, uint64_t token, uint32_t end)
{
    for (jbi_coord_watch *w = s->watches; w; w = w->next) {
        if (w->lease.token == token)
            w->end = end;
    }
}

/* Send one message; false: the client is behind, or gone, and the watch with it. */
static bool say(jbi_coord_watch *w, uint32_t end, uint64_t left_ns)
{
    jb_coord_service *s = w->service;

    jbi_htext_reset(&s->out, 1 << 16);
    if (end)
        jbi_msg_put_value(&s->out, 1, end);
    if (left_ns)
        jbi_msg_put_value(&s->out, 2, left_ns);
    return jb_call_send(w->call, s->out.data ? s->out.data : "", s->out.len) == 0;
}

static void say_end(jbi_coord_watch *w)
{
    jb_call *call = w->call;

    if (!say(w, w->end, 0))
        return;
    jb_call_done(call);
    forget(w);
}

/* Tell one. Returns nanoseconds until there may be more; the watch may be gone. */
static uint64_t tell(jbi_coord_watch *w)
{
    uint64_t left_ns;
    int rc = jb_lease_check(w->service->coord, &w->lease, &left_ns);

    if (rc < 0 || w->end) {
        say_end(w);
        return UINT64_MAX;
    }
    if (rc == JB_LEASE_NOTICE && w->told != JB_LEASE_REVOKED) {
        w->told = JB_LEASE_REVOKED;
        say(w, JB_LEASE_REVOKED, left_ns ? left_ns : 1);
        return left_ns;
    }
    if (left_ns == UINT64_MAX)
        return UINT64_MAX;
    if (left_ns > w->warn_ns) {
        if (w->told == JB_LEASE_EXPIRED)
            w->told = 0; /* it was renewed */
        return w->warn_ns ? left_ns - w->warn_ns : left_ns;
    }
    if (!w->told) {
        w->told = JB_LEASE_EXPIRED;
        say(w, JB_LEASE_EXPIRED, left_ns ? left_ns : 1);
    }
    return left_ns;
}

uint64_t jbi_coord_tell_watches(jb_coord_service *s)
{
    uint64_t next_ns = UINT64_MAX;

    for (jbi_coord_watch *w = s->watches, *next; w; w = next) {
        uint64_t ns;

        next = w->next;
        ns = tell(w);
        if (ns < next_ns)
            next_ns = ns;
    }
    return next_ns;
}

void jbi_coord_watch_lease(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jbi_coord_watch *w;
    jb_lease lease;
    int rc;

    if (!jbi_coord_read_lease(m, &lease)) {
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT,
                     "lease_id and token are those that were given");
        return;
    }
    rc = jb_lease_check(s->coord, &lease, NULL);
    w = rc < 0 ? NULL : jbi_hmem_zalloc(s->alloc, sizeof(*w));
    if (!w) {
        jbi_coord_refuse(s, call, rc < 0 ? rc : JB_ELIMIT);
        return;
    }
    *w = (jbi_coord_watch){.service = s,
                           .call = call,
                           .lease = lease,
                           .warn_ns = jbi_msg_value(m, 3, 0),
                           .is_kept = jbi_msg_value(m, 4, 0) != 0,
                           .next = s->watches};
    if (w->next)
        w->next->prev = w;
    s->watches = w;
    jb_call_on_close(call, on_gone, w);
    jbi_coord_due_in(s, 0);
}
