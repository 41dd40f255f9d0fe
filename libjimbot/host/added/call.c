/*
 * call: the public face of a call, see call.h and jimbot/service.h.
 */
#include "host/added/call.h"

#include "host/host.h"
#include "host/http/query.h"
#include "host/text/hmem.h"

#include <stdio.h>

jb_call *jbi_call_create(jb_host *host, const jb_service_entry *entry, const jbi_who *who)
{
    jb_call *call = jbi_hmem_zalloc(host->alloc, sizeof(*call));

    if (!call)
        return NULL;
    call->host = host;
    call->entry = entry;
    memcpy(call->who, who->name, sizeof(call->who));
    return call;
}

void jbi_call_free(jb_call *call)
{
    jbi_hmem_free(call->host->alloc, call, sizeof(*call));
}

void jbi_call_tell(jb_call *call)
{
    void (*fn)(jb_call *, void *) = call->on_close;

    call->on_close = NULL;
    if (fn)
        fn(call, call->close_userdata);
}

void jbi_call_abandon(jb_call *call)
{
    jbi_call_tell(call);
    jbi_call_free(call);
}

const void *jb_call_body(const jb_call *call, size_t *ret_bytes)
{
    *ret_bytes = call->body.len;
    return call->body.data ? call->body.data : "";
}

static int find_parameter(jbi_query *q, const char *name, jbi_slice *ret)
{
    jbi_slice key;
    int rc;

    while ((rc = jbi_query_next(q, &key, ret)) > 0) {
        if (jbi_slice_is(key, name))
            return 0;
    }
    return rc < 0 ? JB_EPARSE : JB_ENOENT;
}

int jb_call_query(const jb_call *call, const char *name, char *buf, size_t cap)
{
    const jbi_call *request = call->request;
    jbi_slice value = {NULL, 0};
    jbi_query q;
    char *room;
    int rc;

    if (!request || !request->query_bytes)
        return JB_ENOENT;
    room = jbi_hmem_alloc(call->host->alloc, request->query_bytes);
    if (!room)
        return JB_ENOMEM;
    jbi_query_begin(&q, request->query, request->query_bytes, room);
    rc = find_parameter(&q, name, &value);
    if (rc == 0 && value.len >= cap)
        rc = JB_ETOOBIG;
    if (rc == 0) {
        memcpy(buf, value.data, value.len);
        buf[value.len] = '\0';
        rc = (int)value.len;
    }
    jbi_hmem_free(call->host->alloc, room, request->query_bytes);
    return rc;
}

const char *jb_call_who(const jb_call *call)
{
    return call->who;
}

bool jb_call_is_grpc(const jb_call *call)
{
    return call->carrier->is_grpc;
}

void jb_call_on_close(jb_call *call, void (*fn)(jb_call *call, void *userdata), void *userdata)
{
    call->on_close = fn;
    call->close_userdata = userdata;
}

void jb_call_reply(jb_call *call, const void *bytes, size_t n_bytes)
{
    call->carrier->answer(call, JB_CALL_OK, bytes, n_bytes, NULL);
}

int jb_call_send(jb_call *call, const void *bytes, size_t n_bytes)
{
    if (!call->carrier->send || !(call->entry->flags & JB_SERVICE_STREAM))
        return JB_ESTATE;
    return call->carrier->send(call, bytes, n_bytes);
}

void jb_call_done(jb_call *call)
{
    call->carrier->answer(call, JB_CALL_OK, NULL, 0, NULL);
}

void jb_call_fail(jb_call *call, uint32_t code, const char *message)
{
    char text[201];

    if (code == JB_CALL_OK || code > JB_CALL_UNAVAILABLE)
        code = JB_CALL_UNKNOWN;
    snprintf(text, sizeof(text), "%s", message ? message : "");
    call->carrier->answer(call, code, NULL, 0, text);
}
