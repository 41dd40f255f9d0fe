/*
 * session_json: requests of a session in JSON, see session_request.h.
 *
 * Names are those of the proto files, or their lowerCamelCase. Events are handed to their encoder
 * as the text they came in; everything else is small and read by jansson.
 */
#include "host/service/orders.h"
#include "host/service/service.h"
#include "host/service/session.h"
#include "host/service/session_request.h"
#include "host/text/jwalk.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>

/* The largest step that is read as a whole. */
enum { STEP_MAX_BYTES = 64 * 1024 };

/* The names of a oneof of SessionRequest, by number. */
static const char *const steps[] = {NULL,      NULL,  "subscribe", "unsubscribe",
                                    "publish", "ack", "command",   "ping"};

static bool fail(jbi_session_req *r, const char *problem)
{
    snprintf(r->problem, sizeof(r->problem), "%s", problem);
    return false;
}

/* A member by its name in the proto file, or its lowerCamelCase. */
static json_t *get(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    char camel[32];
    size_t n = 0;

    if (value)
        return value;
    for (; *name && n < sizeof(camel) - 1; name++, n++) {
        if (*name == '_')
            camel[n] = (char)(*++name - 'a' + 'A');
        else
            camel[n] = *name;
    }
    camel[n] = '\0';
    return json_object_get(object, camel);
}

/* An integer of 64 bits, which may come as text; absent or null leaves *ret as it is. */
static bool get_u64(const json_t *object, const char *name, uint64_t *ret)
{
    json_t *value = get(object, name);

    if (!value || json_is_null(value))
        return true;
    if (json_is_string(value))
        return jbi_jwalk_u64((jbi_slice){json_string_value(value), json_string_length(value)}, ret);
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool get_u32(const json_t *object, const char *name, uint32_t *ret)
{
    uint64_t value = *ret;

    if (!get_u64(object, name, &value) || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

static bool get_bool(const json_t *object, const char *name, bool *ret)
{
    json_t *value = get(object, name);

    if (value && !json_is_null(value)) {
        if (!json_is_boolean(value))
            return false;
        *ret = json_is_true(value);
    }
    return true;
}

/* A value of an enum: its number, its name in the proto file, or that without the prefix, in any
 * case. */
static bool read_enum(const json_t *value, const char *prefix, const char *const *names, uint32_t n,
                      uint64_t *ret)
{
    const char *text = json_string_value(value);

    if (json_is_integer(value)) {
        *ret = (uint64_t)json_integer_value(value);
        return json_integer_value(value) >= 0;
    }
    if (!text)
        return false;
    if (!strncmp(text, prefix, strlen(prefix)))
        text += strlen(prefix);
    for (uint32_t i = 0; i < n; i++) {
        if (!strcasecmp(text, names[i])) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool get_policy(const json_t *object, uint32_t *ret)
{
    static const char *const names[] = {"unspecified", "lossless", "latest", "conflate"};
    const json_t *value = get(object, "policy");
    uint64_t number;

    return !value || json_is_null(value) ||
           (read_enum(value, "DELIVERY_POLICY_", names, 4, &number) && jbi_msg_policy(number, ret));
}

static bool get_start(const json_t *object, uint32_t *ret)
{
    static const char *const names[] = {"unspecified", "now", "oldest", "sequence"};
    const json_t *value = get(object, "start");
    uint64_t number;

    return !value || json_is_null(value) ||
           (read_enum(value, "START_POSITION_", names, 4, &number) && jbi_msg_start(number, ret));
}

static bool get_types(const json_t *object, uint64_t *ret)
{
    const json_t *list = get(object, "types");
    const json_t *value;
    size_t i;

    if (!list || json_is_null(list))
        return true;
    if (!json_is_array(list))
        return false;
    json_array_foreach(list, i, value)
    {
        uint32_t type =
            json_is_string(value)
                ? jbi_service_type((jbi_slice){json_string_value(value), json_string_length(value)})
            : json_is_integer(value) && json_integer_value(value) < JBI_FEED_TYPES
                ? (uint32_t)json_integer_value(value)
                : 0;

        if (type == 0 || type >= JBI_FEED_TYPES)
            return false;
        *ret |= (uint64_t)1 << type;
    }
    return true;
}

static bool get_slice(const json_t *object, const char *name, jbi_slice *ret)
{
    const json_t *value = get(object, name);

    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    *ret = (jbi_slice){json_string_value(value), json_string_length(value)};
    return true;
}

static bool get_patterns(const json_t *object, jbi_msg_subscribe *m)
{
    const json_t *list = get(object, "patterns");
    const json_t *value;
    size_t i;

    if (list && !json_is_array(list))
        return false;
    json_array_foreach(list, i, value)
    {
        if (!json_is_string(value))
            return false;
        if (m->n_patterns < JBI_FEED_PATTERNS)
            m->patterns[m->n_patterns] =
                (jbi_slice){json_string_value(value), json_string_length(value)};
        m->n_patterns++;
    }
    return true;
}

static bool get_dialect(const json_t *object, uint32_t *ret)
{
    const json_t *value = get(object, "dialect");
    int dialect;

    if (!value || json_is_null(value))
        return true;
    if (!json_is_string(value))
        return false;
    dialect = jb_dialect_find(json_string_value(value), json_string_length(value));
    *ret = (uint32_t)dialect;
    return dialect >= 0;
}

static bool read_subscribe(const json_t *object, jbi_session_req *r)
{
    const json_t *q = get(object, "request");
    jbi_msg_subscribe *m = &r->subscribe;
    const char *problem;

    jbi_msg_subscribe_init(m);
    if (!json_is_object(q))
        return fail(r, "subscribe has a request, an object");
    if (!get_patterns(q, m))
        return fail(r, "patterns is a list of texts");
    if (!get_types(q, &m->types))
        return fail(r, "types is a list of types of events, like \"MONEY_CHANGED\"");
    if (!get_policy(q, &m->policy))
        return fail(r, "policy is \"lossless\", \"latest\" or \"conflate\"");
    if (!get_start(q, &m->start))
        return fail(r, "start is \"now\", \"oldest\" or \"sequence\"");
    if (!get_dialect(object, &r->dialect))
        return fail(r, "there is no such dialect");
    if (!get_slice(q, "name", &m->name) || !get_bool(q, "high_first", &m->is_high_first) ||
        !get_u64(q, "start_sequence", &m->start_sequence) ||
        !get_u32(q, "max_events", &m->max_events) || !get_u64(q, "linger_ns", &m->linger_ns) ||
        !get_u64(q, "idle_ns", &m->idle_ns) || !get_u64(q, "evict_after_ns", &m->evict_after_ns) ||
        !get_u32(object, "max_unacked", &r->max_unacked))
        return fail(r, "a member of the subscription has a value of the wrong type");
    problem = jbi_msg_subscribe_check(m);
    return problem ? fail(r, problem) : true;
}

static bool read_ping(const json_t *object, jbi_session_req *r)
{
    jbi_slice text = {"", 0};
    unsigned char bytes[96];
    int n = 0;

    if (!get_slice(object, "payload", &text) || text.len > 88)
        return fail(r, "the payload of a ping is base64 of at most 64 bytes");
    if (text.len)
        n = EVP_DecodeBlock(bytes, (const unsigned char *)text.data, (int)text.len);
    for (size_t i = text.len; i > 0 && i + 2 > text.len && text.data[i - 1] == '='; i--)
        n--;
    if (n < 0 || n > JBI_SESSION_PING_BYTES)
        return fail(r, "the payload of a ping is base64 of at most 64 bytes");
    memcpy(r->decoded, bytes, (size_t)n);
    r->payload = (jbi_slice){r->decoded, (size_t)n};
    return true;
}

/* As in the proto file, {"name":…,"params":[…],"id":…}, or as the body of POST /api/v1/commands. */
static bool read_command(json_t *object, jbi_session_req *r)
{
    json_t *name = json_object_get(object, "name");
    const char *problem;

    if (name && !json_object_get(object, "type"))
        json_object_set(object, "type", name);
    problem = jbi_orders_read(object, &r->command);
    return problem ? fail(r, problem) : true;
}

static bool read_small(jbi_slice text, jbi_session_req *r)
{
    json_error_t err;
    json_t *root;

    if (text.len > STEP_MAX_BYTES)
        return fail(r, "the step is longer than 64 KiB");
    root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &err);
    if (!json_is_object(root)) {
        json_decref(root);
        snprintf(r->problem, sizeof(r->problem), "%s: %s", steps[r->step],
                 root ? "is no object" : err.text);
        return false;
    }
    r->root = root;
    if (!get_u32(root, "subscription_id", &r->subscription_id) ||
        !get_u64(root, "sequence", &r->sequence))
        return fail(r, "subscription_id and sequence are whole numbers, 0 and more");
    switch (r->step) {
    case JBI_STEP_SUBSCRIBE:
        return read_subscribe(root, r);
    case JBI_STEP_COMMAND:
        return read_command(root, r);
    case JBI_STEP_PING:
        return read_ping(root, r);
    default:
        return true;
    }
}

/* A text without its quotes; one with escapes is read by jansson, into *ret_root. */
static bool read_text(jbi_slice value, jbi_slice *ret, json_t **ret_root)
{
    if (value.len < 2 || value.data[0] != '"')
        return false;
    *ret = (jbi_slice){value.data + 1, value.len - 2};
    if (!memchr(ret->data, '\\', ret->len))
        return true;
    *ret_root = json_loadb(value.data, value.len, JSON_DECODE_ANY, NULL);
    *ret = (jbi_slice){json_string_value(*ret_root), json_string_length(*ret_root)};
    return *ret_root != NULL;
}

/* One {"event":{…},"topic":…,"key":…}. Returns what is wrong. */
static const char *add_event(jbi_service *s, jbi_slice text, uint32_t dialect)
{
    jbi_msg_outgoing event = {.key = 0};
    jbi_slice key, value;
    json_t *topic = NULL;
    uint64_t number;
    jbi_jwalk w;
    int rc = jbi_jwalk_object(text, &w) ? 1 : -1;

    while (rc > 0 && (rc = jbi_jwalk_next(&w, &key, &value)) > 0) {
        bool is_good = true;

        if (jbi_slice_is(key, "event")) {
            event.event = value;
        } else if (jbi_slice_is(key, "topic")) {
            is_good = !topic && read_text(value, &event.topic, &topic);
        } else if (jbi_slice_is(key, "key")) {
            is_good = jbi_jwalk_u64(value, &number) && number <= UINT32_MAX;
            event.key = is_good ? (uint32_t)number : 0;
        }
        rc = is_good ? 1 : -1;
    }
    if (rc == 0)
        rc = jbi_publish_add_json(s, dialect, &event) < 0 ? -2 : 0;
    json_decref(topic);
    return rc == -2   ? "more events in one request than this host takes, or no memory for them"
           : rc == -1 ? "an element of events is no {\"event\":{…},\"topic\":\"…\",\"key\":…}"
                      : NULL;
}

/* What concerns all events of a publish, and where they are. */
static bool read_publish_head(jbi_slice text, jbi_session_req *r, jbi_slice *ret_events)
{
    jbi_slice key, value, name;
    json_t *root = NULL;
    jbi_jwalk w;
    int rc = jbi_jwalk_object(text, &w) ? 1 : -1;

    while (rc > 0 && (rc = jbi_jwalk_next(&w, &key, &value)) > 0) {
        if (jbi_slice_is(key, "events")) {
            *ret_events = value;
        } else if (jbi_jwalk_is(key, "all_or_none")) {
            rc = jbi_jwalk_bool(value, &r->is_all_or_none) ? 1 : -1;
        } else if (jbi_slice_is(key, "dialect")) {
            int dialect =
                !root && read_text(value, &name, &root) ? jb_dialect_find(name.data, name.len) : -1;

            if (dialect < 0)
                rc = -1;
            else
                r->dialect = (uint32_t)dialect;
        }
    }
    json_decref(root);
    return rc == 0 || fail(r, "publish is no {\"events\":[…],\"all_or_none\":…,\"dialect\":…}");
}

static bool read_publish(jbi_service *s, jbi_slice text, jbi_session_req *r)
{
    jbi_slice events = {"", 0}, key, value;
    const char *problem = NULL;
    jbi_jwalk w;
    int rc;

    if (!read_publish_head(text, r, &events))
        return false;
    rc = jbi_jwalk_list(events, &w) ? 1 : -1;
    while (rc > 0 && !problem && (rc = jbi_jwalk_next(&w, &key, &value)) > 0)
        problem = add_event(s, value, r->dialect);
    if (rc < 0 && !problem)
        problem = "publish has events, a list";
    if (!problem && s->publish.n == 0)
        problem = "there is no event in the request";
    return problem ? fail(r, problem) : true;
}

bool jbi_session_read_json(jbi_service *s, jbi_slice message, jbi_session_req *r)
{
    jbi_slice key, value, step = {"", 0};
    jbi_jwalk w;
    int rc = jbi_jwalk_object(message, &w) ? 1 : -1;

    while (rc > 0 && (rc = jbi_jwalk_next(&w, &key, &value)) > 0) {
        if (jbi_jwalk_is(key, "request_id") && !jbi_jwalk_u64(value, &r->request_id))
            return fail(r, "request_id is a whole number, 0 and more");
        for (uint32_t i = JBI_STEP_SUBSCRIBE; i <= JBI_STEP_PING; i++) {
            if (!jbi_slice_is(key, steps[i]))
                continue;
            if (r->step)
                return fail(r, "a request has one step; this has several");
            r->step = i;
            step = value;
        }
    }
    if (rc < 0)
        return fail(r, "the request is no JSON object");
    if (!r->step)
        return fail(r, "a request has one step: subscribe, unsubscribe, publish, ack, command or "
                       "ping; this has none");
    return r->step == JBI_STEP_PUBLISH ? read_publish(s, step, r) : read_small(step, r);
}

void jbi_session_req_fini(jbi_session_req *r)
{
    json_decref(r->root);
    r->root = NULL;
}
