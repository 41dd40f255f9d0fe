/*
 * session_call: see session_call.h. What each request may is asked of the gate by the session.
 */
#include "host/grpc/session_call.h"

#include "host/host.h"
#include "host/net/address.h"
#include "host/service/session.h"

static void on_wake(void *userdata)
{
    jbi_grpc_wake(userdata);
}

static bool open_session(jbi_grpc_call *call)
{
    jbi_session_opts opts = {.form = JBI_SESSION_PROTO,
                             .who = &call->who,
                             .via = "grpc",
                             .wake = on_wake,
                             .userdata = call};
    char peer[JBI_ADDRESS_BYTES];
    jbi_session *session;

    jbi_address_of_peer(&jbi_h2_stream_conn(call->stream)->io.handle, peer);
    opts.name = jbi_slice_str(peer);
    if (jbi_session_open(jbi_grpc_host(call), &opts, &session) < 0) {
        jbi_grpc_finish(call, JBI_GRPC_RESOURCE_EXHAUSTED, "no memory for the session");
        return false;
    }
    call->state = session;
    return true;
}

bool jbi_grpc_session(jbi_grpc_call *call, jbi_slice message)
{
    size_t mark;

    if (!call->state && !open_session(call))
        return true;
    mark = jbi_grpc_begin(call);
    if (jbi_session_request(call->state, message, &call->stream->out))
        jbi_grpc_end(call, mark);
    else
        jbi_grpc_drop(call, mark);
    jbi_h2_resume(call->stream);
    return true;
}

void jbi_grpc_session_end(jbi_grpc_call *call)
{
    jbi_grpc_done(call);
}

void jbi_grpc_session_fill(jbi_grpc_call *call)
{
    while (call->state && jbi_grpc_waiting(call) == 0) {
        size_t mark = jbi_grpc_begin(call);

        if (!jbi_session_next(call->state, &call->stream->out)) {
            jbi_grpc_drop(call, mark);
            return;
        }
        jbi_grpc_end(call, mark);
    }
}

void jbi_grpc_session_close(jbi_grpc_call *call)
{
    jbi_session_close(call->state);
}
