/*
 * session_proto: requests of a session in protobuf, see session_request.h.
 */
#include "host/service/service.h"
#include "host/service/session.h"
#include "host/service/session_request.h"

#include <stdio.h>

static const char *const malformed = "the request is not protobuf, or a field has another type";

/* A subscription_id, or another number that fits 32 bits. */
static uint32_t number32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static const char *read_subscribe(jbi_slice bytes, jbi_session_req *r)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_slice request = {"", 0};
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_value(&f, 1))
            r->subscription_id = number32(f.value);
        else if (jbi_msg_is_bytes(&f, 2))
            request = f.bytes;
        else if (jbi_msg_is_value(&f, 3))
            r->max_unacked = number32(f.value);
        else if (f.number <= 3)
            return malformed;
    }
    return rc < 0 ? malformed : jbi_msg_read_subscribe(request, &r->subscribe);
}

/* SessionUnsubscribe and SessionAck, whose fields are numbers. */
static const char *read_numbers(jbi_slice bytes, jbi_session_req *r)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_value(&f, 1))
            r->subscription_id = number32(f.value);
        else if (jbi_msg_is_value(&f, 2))
            r->sequence = f.value;
        else if (f.number <= 2)
            return malformed;
    }
    return rc < 0 ? malformed : NULL;
}

static bool copy_text(jbi_slice from, char *to, size_t cap)
{
    if (from.len >= cap || memchr(from.data, 0, from.len))
        return false;
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
    return true;
}

static const char *read_command(jbi_slice bytes, jb_command *c)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        bool is_good = true;

        if (jbi_msg_is_bytes(&f, 1))
            is_good = copy_text(f.bytes, c->name, sizeof(c->name));
        else if (jbi_msg_is_bytes(&f, 2))
            is_good =
                c->n_params < 8 && copy_text(f.bytes, c->params[c->n_params++], sizeof(*c->params));
        else if (jbi_msg_is_bytes(&f, 3))
            is_good = copy_text(f.bytes, c->id, sizeof(c->id));
        else if (f.number <= 3)
            return malformed;
        if (!is_good)
            return "a command has a name of at most 47 bytes, an id of at most 63 and at most 8 "
                   "parameters of at most 47";
    }
    return rc < 0 ? malformed : NULL;
}

static const char *read_ping(jbi_slice bytes, jbi_session_req *r)
{
    jbi_wire in = jbi_wire_of(bytes.data, bytes.len);
    jbi_msg_field f;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_bytes(&f, 1))
            r->payload = f.bytes;
        else if (f.number == 1)
            return malformed;
    }
    return rc < 0                                    ? malformed
           : r->payload.len > JBI_SESSION_PING_BYTES ? "a ping carries at most 64 bytes"
                                                     : NULL;
}

static const char *read_step(jbi_service *s, const jbi_msg_field *f, jbi_session_req *r)
{
    switch (f->number) {
    case JBI_STEP_SUBSCRIBE:
        return read_subscribe(f->bytes, r);
    case JBI_STEP_PUBLISH:
        return jbi_publish_add_request(s, f->bytes, 1, 0, &r->is_all_or_none);
    case JBI_STEP_COMMAND:
        return read_command(f->bytes, &r->command);
    case JBI_STEP_PING:
        return read_ping(f->bytes, r);
    default:
        return read_numbers(f->bytes, r);
    }
}

/* Of several steps the last counts, as the rules of a oneof say, so it is read when all were
 * seen. */
bool jbi_session_read_proto(jbi_service *s, jbi_slice message, jbi_session_req *r)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field f, step = {.number = 0};
    const char *problem = NULL;
    int rc;

    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_value(&f, 1))
            r->request_id = f.value;
        else if (f.number >= JBI_STEP_SUBSCRIBE && f.number <= JBI_STEP_PING &&
                 f.type == JBI_WIRE_BYTES)
            step = f;
        else if (f.number <= JBI_STEP_PING)
            problem = malformed;
    }
    if (rc < 0)
        problem = malformed;
    else if (!problem)
        problem = step.number ? read_step(s, &step, r) : "a request has one step; this has none";
    r->step = step.number;
    if (problem)
        snprintf(r->problem, sizeof(r->problem), "%s", problem);
    return !problem;
}
