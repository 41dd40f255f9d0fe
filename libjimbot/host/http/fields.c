/*
 * fields: see fields.h. A name is looked up by its length and first letter, because every field of
 * every request comes by here.
 */
#include "host/http/fields.h"

#include <string.h>
#include <strings.h>

static const char *const names[JBI_FIELD_N] = {
    [JBI_FIELD_AUTHORIZATION] = "authorization",
    [JBI_FIELD_CONNECTION] = "connection",
    [JBI_FIELD_CONTENT_ENCODING] = "content-encoding",
    [JBI_FIELD_CONTENT_TYPE] = "content-type",
    [JBI_FIELD_EXPECT] = "expect",
    [JBI_FIELD_GRPC_ACCEPT_ENCODING] = "grpc-accept-encoding",
    [JBI_FIELD_GRPC_ENCODING] = "grpc-encoding",
    [JBI_FIELD_GRPC_TIMEOUT] = "grpc-timeout",
    [JBI_FIELD_HOST] = "host",
    [JBI_FIELD_LAST_EVENT_ID] = "last-event-id",
    [JBI_FIELD_ORIGIN] = "origin",
    [JBI_FIELD_SEC_FETCH_SITE] = "sec-fetch-site",
    [JBI_FIELD_SEC_WEBSOCKET_ACCEPT] = "sec-websocket-accept",
    [JBI_FIELD_SEC_WEBSOCKET_KEY] = "sec-websocket-key",
    [JBI_FIELD_SEC_WEBSOCKET_PROTOCOL] = "sec-websocket-protocol",
    [JBI_FIELD_SEC_WEBSOCKET_VERSION] = "sec-websocket-version",
    [JBI_FIELD_TRACEPARENT] = "traceparent",
    [JBI_FIELD_UPGRADE] = "upgrade",
};

void jbi_fields_init(jbi_fields *f, const jb_alloc *alloc)
{
    memset(f, 0, sizeof(*f));
    jbi_htext_init(&f->text, alloc);
}

void jbi_fields_fini(jbi_fields *f)
{
    jbi_htext_fini(&f->text);
    f->present = f->repeated = 0;
}

void jbi_fields_reset(jbi_fields *f)
{
    jbi_htext_reset(&f->text, 1024);
    f->present = f->repeated = 0;
}

enum jbi_field jbi_fields_find(const char *name, size_t n)
{
    if (n < 4 || n > 22)
        return JBI_FIELD_OTHER;
    for (unsigned i = 0; i < JBI_FIELD_N; i++) {
        if (names[i][0] == (name[0] | 0x20) && strlen(names[i]) == n &&
            strncasecmp(names[i], name, n) == 0)
            return (enum jbi_field)i;
    }
    return JBI_FIELD_OTHER;
}

void jbi_fields_begin(jbi_fields *f, enum jbi_field field)
{
    if (field == JBI_FIELD_OTHER)
        return;
    if (f->present & 1u << field) {
        f->repeated |= 1u << field;
        return;
    }
    f->present |= 1u << field;
    f->at[field] = (uint32_t)f->text.len;
    f->n_bytes[field] = 0;
}

void jbi_fields_append(jbi_fields *f, enum jbi_field field, const char *bytes, size_t n)
{
    if (field == JBI_FIELD_OTHER || f->repeated & 1u << field)
        return;
    jbi_htext_add(&f->text, bytes, n);
    f->n_bytes[field] += (uint32_t)n;
}

const char *jbi_fields_get(const jbi_fields *f, enum jbi_field field, size_t *ret_bytes)
{
    if (!(f->present & 1u << field) || f->text.is_broken)
        return NULL;
    *ret_bytes = f->n_bytes[field];
    return f->n_bytes[field] ? f->text.data + f->at[field] : "";
}

bool jbi_fields_is(const jbi_fields *f, enum jbi_field field, const char *word)
{
    size_t n;
    const char *value = jbi_fields_get(f, field, &n);

    return value && n == strlen(word) && strncasecmp(value, word, n) == 0;
}

bool jbi_fields_has_word(const jbi_fields *f, enum jbi_field field, const char *word)
{
    size_t n, n_word = strlen(word);
    const char *at = jbi_fields_get(f, field, &n);
    const char *end = at ? at + n : NULL;

    while (at && at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if ((size_t)(stop - at) == n_word && strncasecmp(at, word, n_word) == 0)
            return true;
        at = comma ? comma + 1 : end;
    }
    return false;
}
