/*
 * messages: see messages.h.
 */
#include "host/service/messages.h"

static const char *const malformed = "the message is not protobuf, or a field has another type";

const char *jbi_msg_read_outgoing(jbi_slice message, jbi_msg_outgoing *ret)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field f;
    int rc;

    *ret = (jbi_msg_outgoing){.key = 0};
    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        if (jbi_msg_is_bytes(&f, 1))
            ret->event = f.bytes;
        else if (jbi_msg_is_bytes(&f, 2))
            ret->topic = f.bytes;
        else if (jbi_msg_is_value(&f, 3))
            ret->key = (uint32_t)f.value;
        else if (f.number <= 3)
            return malformed;
    }
    return rc < 0 ? malformed : NULL;
}

bool jbi_msg_policy(uint64_t number, uint32_t *ret_policy)
{
    static const uint32_t policies[] = {JB_SUB_LATEST, JB_SUB_LOSSLESS, JB_SUB_LATEST,
                                        JB_SUB_CONFLATE};

    if (number >= sizeof(policies) / sizeof(*policies))
        return false;
    *ret_policy = policies[number];
    return true;
}

bool jbi_msg_start(uint64_t number, uint32_t *ret_start)
{
    static const uint32_t starts[] = {JBI_FEED_NOW, JBI_FEED_NOW, JBI_FEED_OLDEST,
                                      JBI_FEED_SEQUENCE};

    if (number >= sizeof(starts) / sizeof(*starts))
        return false;
    *ret_start = starts[number];
    return true;
}

/* Types come one by one, or packed. */
static bool add_types(jbi_msg_subscribe *m, const jbi_msg_field *f)
{
    jbi_wire in = jbi_wire_of(f->bytes.data, f->bytes.len);
    uint64_t type = f->value;

    do {
        if (f->type == JBI_WIRE_BYTES && (jbi_wire_done(&in) || !jbi_wire_varint(&in, &type)))
            return f->bytes.len == 0;
        if (type == 0 || type >= JBI_FEED_TYPES)
            return false;
        m->types |= (uint64_t)1 << type;
    } while (!jbi_wire_done(&in));
    return true;
}

static bool take_bytes(jbi_msg_subscribe *m, const jbi_msg_field *f)
{
    switch (f->number) {
    case 1:
        if (m->n_patterns < JBI_FEED_PATTERNS)
            m->patterns[m->n_patterns] = f->bytes;
        m->n_patterns++;
        return true;
    case 2:
        return add_types(m, f);
    case 6:
        m->name = f->bytes;
        return true;
    default:
        return f->number > 11;
    }
}

static bool take_value(jbi_msg_subscribe *m, const jbi_msg_field *f)
{
    switch (f->number) {
    case 2:
        return add_types(m, f);
    case 3:
        return jbi_msg_policy(f->value, &m->policy);
    case 4:
        return jbi_msg_start(f->value, &m->start);
    case 5:
        m->start_sequence = f->value;
        return true;
    case 7:
        m->is_high_first = f->value != 0;
        return true;
    case 8:
        m->max_events = (uint32_t)f->value;
        return true;
    case 9:
        m->linger_ns = f->value;
        return true;
    case 10:
        m->idle_ns = f->value;
        return true;
    case 11:
        m->evict_after_ns = f->value;
        return true;
    default:
        return f->number > 11;
    }
}

void jbi_msg_subscribe_init(jbi_msg_subscribe *m)
{
    m->n_patterns = 0;
    m->policy = JB_SUB_LATEST;
    m->start = JBI_FEED_NOW;
    m->max_events = JBI_FEED_EVENTS;
    m->types = m->start_sequence = m->linger_ns = m->idle_ns = m->evict_after_ns = 0;
    m->name = (jbi_slice){NULL, 0};
    m->is_high_first = false;
}

const char *jbi_msg_subscribe_check(const jbi_msg_subscribe *m)
{
    if (m->n_patterns == 0)
        return "a subscription has at least one pattern";
    if (m->n_patterns > JBI_FEED_PATTERNS)
        return "a subscription has at most 64 patterns";
    if (m->start == JBI_FEED_SEQUENCE && m->start_sequence == 0)
        return "start_sequence is 1 and more, and must be there";
    if (m->max_events == 0)
        return "max_events is 1 and more";
    return NULL;
}

const char *jbi_msg_read_subscribe(jbi_slice message, jbi_msg_subscribe *ret)
{
    jbi_wire in = jbi_wire_of(message.data, message.len);
    jbi_msg_field f;
    int rc;

    jbi_msg_subscribe_init(ret);
    while ((rc = jbi_msg_next(&in, &f)) > 0) {
        bool is_good = f.type == JBI_WIRE_BYTES    ? take_bytes(ret, &f)
                       : f.type == JBI_WIRE_VARINT ? take_value(ret, &f)
                                                   : f.number > 11;

        if (!is_good)
            return "a field of the subscription has a value or type that it cannot have";
    }
    return rc < 0 ? malformed : jbi_msg_subscribe_check(ret);
}

void jbi_msg_feed_opts(const jbi_msg_subscribe *m, jbi_feed_opts *ret)
{
    *ret = (jbi_feed_opts){.patterns = m->patterns,
                           .n_patterns = m->n_patterns,
                           .policy = m->policy,
                           .types = m->types,
                           .start = m->start,
                           .start_sequence = m->start_sequence,
                           .evict_after_ns = m->evict_after_ns,
                           .is_high_first = m->is_high_first,
                           .name = m->name};
}
