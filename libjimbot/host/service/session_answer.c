/*
 * session_answer: see session_answer.h.
 */
#include "host/service/session_answer.h"

#include "host/service/render.h"
#include "host/service/service.h"

#include <openssl/evp.h>

/* Numbers of the fields of SessionResponse. */
enum { SUBSCRIBED = 2, UNSUBSCRIBED = 3, PUBLISHED = 4, DELIVERY = 5, PONG = 6, FAULT = 7 };

static const char *const names[] = {NULL,        NULL,       "subscribed", "unsubscribed",
                                    "published", "delivery", "pong",       "fault"};

/* Open the step: in protobuf its mark, in JSON the brace of its object. */
static size_t begin(const jbi_answerer *a, uint32_t step)
{
    if (!a->is_json) {
        if (a->request_id)
            jbi_msg_put_value(a->out, 1, a->request_id);
        return jbi_msg_open(a->out, step);
    }
    jbi_htext_str(a->out, "{");
    if (a->request_id) {
        jbi_htext_str(a->out, "\"request_id\":");
        jbi_htext_u64(a->out, a->request_id);
        jbi_htext_str(a->out, ",");
    }
    jbi_htext_str(a->out, "\"");
    jbi_htext_str(a->out, names[step]);
    jbi_htext_str(a->out, "\":{");
    return 0;
}

static void end(const jbi_answerer *a, size_t mark)
{
    if (a->is_json)
        jbi_htext_str(a->out, "}}");
    else
        jbi_msg_close(a->out, mark);
}

/* The name of the next member of the innermost object. */
static void name(const jbi_answerer *a, const char *key)
{
    if (a->out->len && a->out->data[a->out->len - 1] != '{')
        jbi_htext_str(a->out, ",");
    jbi_htext_str(a->out, "\"");
    jbi_htext_str(a->out, key);
    jbi_htext_str(a->out, "\":");
}

static void put_value(const jbi_answerer *a, uint32_t number, const char *key, uint64_t value)
{
    if (!a->is_json) {
        jbi_msg_put_value(a->out, number, value);
        return;
    }
    name(a, key);
    jbi_htext_u64(a->out, value);
}

static void put_text(const jbi_answerer *a, uint32_t number, const char *key, const char *text)
{
    if (!a->is_json) {
        jbi_msg_put_text(a->out, number, text);
        return;
    }
    name(a, key);
    jbi_htext_ascii(a->out, text);
}

void jbi_answer_subscribed(const jbi_answerer *a, uint32_t subscription_id, uint64_t next_sequence)
{
    size_t mark = begin(a, SUBSCRIBED);

    put_value(a, 1, "subscription_id", subscription_id);
    put_value(a, 2, "next_sequence", next_sequence);
    end(a, mark);
}

void jbi_answer_unsubscribed(const jbi_answerer *a, uint32_t subscription_id, const char *reason)
{
    size_t mark = begin(a, UNSUBSCRIBED);

    put_value(a, 1, "subscription_id", subscription_id);
    if (reason)
        put_text(a, 2, "reason", reason);
    end(a, mark);
}

void jbi_answer_published(const jbi_answerer *a)
{
    size_t mark = begin(a, PUBLISHED);

    if (a->is_json) {
        jbi_htext_str(a->out, "\"results\":[");
        jbi_publish_write_json(a->service, a->out);
        jbi_htext_str(a->out, "]");
    } else {
        jbi_publish_write(a->service, 1, a->out);
    }
    end(a, mark);
}

void jbi_answer_pong(const jbi_answerer *a, jbi_slice payload, uint64_t time_utc_ns)
{
    unsigned char base64[96];
    size_t mark = begin(a, PONG);

    if (payload.len && a->is_json) {
        EVP_EncodeBlock(base64, (const unsigned char *)payload.data, (int)payload.len);
        put_text(a, 1, "payload", (const char *)base64);
    } else if (payload.len) {
        jbi_msg_put_bytes(a->out, 1, payload);
    }
    put_value(a, 2, "time_utc_ns", time_utc_ns);
    end(a, mark);
}

void jbi_answer_fault(const jbi_answerer *a, uint32_t code, const char *message,
                      const uint32_t *subscription_id)
{
    size_t mark = begin(a, FAULT);

    put_value(a, 1, "code", code);
    put_text(a, 2, "message", message);
    if (subscription_id)
        put_value(a, 3, "subscription_id", *subscription_id);
    end(a, mark);
}

size_t jbi_answer_delivery(const jbi_answerer *a, uint32_t subscription_id)
{
    size_t mark = begin(a, DELIVERY);

    put_value(a, 1, "subscription_id", subscription_id);
    if (a->is_json)
        jbi_htext_str(a->out, ",\"events\":[");
    return mark;
}

void jbi_answer_delivery_add(const jbi_answerer *a, const jb_event *e, uint32_t dialect,
                             bool is_first)
{
    size_t mark;

    if (a->is_json) {
        if (!is_first)
            jbi_htext_str(a->out, ",");
        jbi_render_incoming_json(a->service, e, dialect, a->out);
        return;
    }
    mark = jbi_msg_open(a->out, 2);
    jbi_render_incoming(a->service, e, a->out);
    jbi_msg_close(a->out, mark);
}

void jbi_answer_delivery_end(const jbi_answerer *a, size_t mark)
{
    if (a->is_json)
        jbi_htext_str(a->out, "]");
    end(a, mark);
}
