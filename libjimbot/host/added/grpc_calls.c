/*
 * grpc_calls: see grpc_calls.h.
 */
#include "host/added/grpc_calls.h"

#include "host/added/call.h"
#include "host/grpc/intake.h"
#include "host/host.h"
#include "host/text/hmem.h"

const jbi_grpc_method *jbi_added_method_at(const jbi_added *a, uint32_t idx)
{
    for (uint32_t i = 0; i < a->n; i++) {
        if (idx < a->services[i].n_methods)
            return &a->services[i].methods[idx].method;
        idx -= a->services[i].n_methods;
    }
    return NULL;
}

static void wake(jbi_grpc_call *grpc)
{
    jbi_h2_resume(grpc->stream);
    jbi_added_wake(jbi_h2_stream_conn(grpc->stream));
}

static void put_message(jbi_grpc_call *grpc, const void *bytes, size_t n)
{
    size_t mark = jbi_grpc_begin(grpc);

    jbi_htext_add(&grpc->stream->out, bytes, n);
    jbi_grpc_end(grpc, mark);
}

static void answer(jb_call *call, uint32_t code, const void *bytes, size_t n, const char *message)
{
    jbi_grpc_call *grpc = call->to;
    bool is_inside = call->is_inside;
    bool is_stream = call->entry->flags & JB_SERVICE_STREAM;

    grpc->state = NULL;
    if (code != JB_CALL_OK) {
        jbi_grpc_finish(grpc, code, "%s", message);
    } else {
        if (bytes || !is_stream)
            put_message(grpc, bytes, n);
        jbi_grpc_done(grpc);
    }
    jbi_call_free(call); /* not before: what was answered may be a part of it */
    if (is_inside)
        return;
    jbi_grpc_forget(grpc);
    wake(grpc);
}

static int send_message(jb_call *call, const void *bytes, size_t n)
{
    jbi_grpc_call *grpc = call->to;

    if (jbi_grpc_waiting(grpc) > JBI_GRPC_OUT_BYTES)
        return JB_EAGAIN;
    /* Somebody whose token was taken away is refused by the tick, not under the caller's hands. */
    if (jbi_gate_may(call->host, &grpc->who, call->entry->scope) != JBI_GATE_OPEN) {
        jbi_grpc_tick_at(grpc, jbi_grpc_now_ms(grpc));
        return JB_EAGAIN;
    }
    put_message(grpc, bytes, n);
    wake(grpc);
    return 0;
}

static const jbi_carrier carrier = {.answer = answer, .send = send_message, .is_grpc = true};

static bool on_message(jbi_grpc_call *grpc, jbi_slice message)
{
    const jbi_added_method *m = (const jbi_added_method *)grpc->method;
    jb_call *call;

    if (!jbi_grpc_may(grpc))
        return true;
    call = jbi_call_create(jbi_grpc_host(grpc), m->entry, &grpc->who);
    if (!call) {
        jbi_grpc_finish(grpc, JBI_GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return true;
    }
    call->carrier = &carrier;
    call->to = grpc;
    call->body = message;
    call->is_inside = true;
    grpc->state = call;
    m->entry->handle(call, m->service->userdata);
    if (grpc->is_finished)
        return true;
    call->is_inside = false;
    call->body = (jbi_slice){NULL, 0};
    if (m->entry->flags & JB_SERVICE_STREAM)
        jbi_grpc_start(grpc);
    return true;
}

static void on_tick(jbi_grpc_call *grpc)
{
    if (!jbi_grpc_may(grpc))
        jbi_grpc_forget(grpc);
}

static void on_close(jbi_grpc_call *grpc)
{
    jbi_call_abandon(grpc->state);
}

int jbi_added_make_methods(jbi_added_service *s, const jb_alloc *alloc)
{
    s->methods = jbi_hmem_zalloc(alloc, s->room * sizeof(*s->methods));
    if (!s->methods)
        return JB_ENOMEM;
    for (uint32_t i = 0; i < s->service.n_entries; i++) {
        const jb_service_entry *e = &s->service.entries[i];

        if (e->method)
            continue;
        s->methods[s->n_methods++] =
            (jbi_added_method){.method = {.path = e->path,
                                          .scope = e->scope,
                                          .max_bytes = e->scope ? 0 : JBI_GRPC_SMALL_BYTES,
                                          .is_unary = true,
                                          .is_endless = true,
                                          .message = on_message,
                                          .tick = on_tick,
                                          .close = on_close},
                               .entry = e,
                               .service = &s->service};
    }
    return 0;
}

void jbi_added_free_methods(jbi_added_service *s, const jb_alloc *alloc)
{
    jbi_hmem_free(alloc, s->methods, s->room * sizeof(*s->methods));
    s->methods = NULL;
    s->n_methods = 0;
}
