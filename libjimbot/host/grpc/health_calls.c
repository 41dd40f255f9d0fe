/*
 * health_calls: see health_calls.h. A host that begins to stop ends each Watch with UNAVAILABLE,
 * which clients take for what it is. What else changes (the bus breaks, a service of the program
 * says what is wrong) nobody announces, so a Watch looks once in a while.
 */
#include "host/grpc/health_calls.h"

#include "host/host.h"
#include "host/text/hmem.h"
#include "host/text/msgfield.h"

enum { LOOK_MS = 1000 };

enum serving { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

/* Whether some method's path begins with this service. */
static bool is_service(const jb_host *host, jbi_slice name)
{
    const jbi_grpc_method *m;

    for (uint32_t i = 0; (m = jbi_grpc_method_at(host, i)); i++) {
        if (strlen(m->path) > name.len + 1 && !memcmp(m->path + 1, name.data, name.len) &&
            m->path[name.len + 1] == '/')
            return true;
    }
    return false;
}

static enum serving status_of(const jbi_grpc_call *call, jbi_slice service)
{
    const jb_host *host = jbi_grpc_host(call);
    const jbi_service *s = &host->service;

    if (service.len && !is_service(host, service))
        return SERVICE_UNKNOWN;
    return s->is_draining || s->is_bus_broken || jbi_added_problem(&host->added) ? NOT_SERVING
                                                                                 : SERVING;
}

static void answer(jbi_grpc_call *call, enum serving status)
{
    size_t mark = jbi_grpc_begin(call);

    jbi_msg_put_value(&call->stream->out, 1, status);
    jbi_grpc_end(call, mark);
}

bool jbi_grpc_health_check(jbi_grpc_call *call, jbi_slice message)
{
    jbi_slice service = jbi_msg_bytes(message, 1);
    enum serving status = status_of(call, service);

    if (status == SERVICE_UNKNOWN) {
        jbi_grpc_finish(call, JBI_GRPC_NOT_FOUND, "there is no such service");
        return true;
    }
    answer(call, status);
    jbi_grpc_done(call);
    return true;
}

/* What a Watch said last. A service that is unknown stays so: none is added to a host that runs. */
typedef struct watching {
    enum serving status;
} watching;

bool jbi_grpc_health_watch(jbi_grpc_call *call, jbi_slice message)
{
    enum serving status = status_of(call, jbi_msg_bytes(message, 1));
    watching *w;

    answer(call, status);
    if (status == SERVICE_UNKNOWN)
        return true;
    w = jbi_hmem_zalloc(jbi_grpc_host(call)->alloc, sizeof(*w));
    if (!w) {
        jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED, "no memory for the call");
        return true;
    }
    w->status = status;
    call->state = w;
    jbi_grpc_tick_at(call, jbi_grpc_now_ms(call) + LOOK_MS);
    return true;
}

void jbi_grpc_health_watch_tick(jbi_grpc_call *call)
{
    watching *w = call->state;
    enum serving status = status_of(call, (jbi_slice){NULL, 0});

    if (status != w->status && jbi_grpc_waiting(call) == 0) {
        w->status = status;
        answer(call, status);
        jbi_h2_resume(call->stream);
    }
    jbi_grpc_tick_at(call, jbi_grpc_now_ms(call) + LOOK_MS);
}

void jbi_grpc_health_watch_close(jbi_grpc_call *call)
{
    jbi_hmem_free(jbi_grpc_host(call)->alloc, call->state, sizeof(watching));
}
