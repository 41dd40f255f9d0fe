/*
 * fields: the header fields of a request that somebody here looks at, by number.
 *
 * Invariant: a field that nobody looks at costs nothing to keep; the values of the others lie in
 * one piece of text whose size the header's limit bounds. A field that comes twice is marked, and
 * its first value is kept.
 */
#ifndef JBI_HOST_FIELDS_H
#define JBI_HOST_FIELDS_H

#include "host/text/htext.h"

enum jbi_field {
    JBI_FIELD_AUTHORIZATION = 0,
    JBI_FIELD_CONNECTION,
    JBI_FIELD_CONTENT_ENCODING,
    JBI_FIELD_CONTENT_TYPE,
    JBI_FIELD_EXPECT,
    JBI_FIELD_GRPC_ACCEPT_ENCODING,
    JBI_FIELD_GRPC_ENCODING,
    JBI_FIELD_GRPC_TIMEOUT,
    JBI_FIELD_HOST,
    JBI_FIELD_LAST_EVENT_ID,
    JBI_FIELD_ORIGIN,
    JBI_FIELD_SEC_FETCH_SITE,
    JBI_FIELD_SEC_WEBSOCKET_ACCEPT,
    JBI_FIELD_SEC_WEBSOCKET_KEY,
    JBI_FIELD_SEC_WEBSOCKET_PROTOCOL,
    JBI_FIELD_SEC_WEBSOCKET_VERSION,
    JBI_FIELD_TRACEPARENT,
    JBI_FIELD_UPGRADE,
    JBI_FIELD_N,
    JBI_FIELD_OTHER = JBI_FIELD_N
};

typedef struct jbi_fields {
    jbi_htext text;
    uint32_t at[JBI_FIELD_N];
    uint32_t n_bytes[JBI_FIELD_N];
    uint32_t present;  /* bit of each field that came */
    uint32_t repeated; /* bit of each that came more than once */
} jbi_fields;

void jbi_fields_init(jbi_fields *f, const jb_alloc *alloc);
void jbi_fields_fini(jbi_fields *f);

/* Forget all of them. */
void jbi_fields_reset(jbi_fields *f);

/* Which one a name means, in any case. */
enum jbi_field jbi_fields_find(const char *name, size_t n);

/* Begin a value; what is appended until the next begin is its own. */
void jbi_fields_begin(jbi_fields *f, enum jbi_field field);
void jbi_fields_append(jbi_fields *f, enum jbi_field field, const char *bytes, size_t n);

/* The value, not NUL-terminated, or NULL when the field did not come. */
const char *jbi_fields_get(const jbi_fields *f, enum jbi_field field, size_t *ret_bytes);

/* Whether the value is this word, in any case. */
bool jbi_fields_is(const jbi_fields *f, enum jbi_field field, const char *word);

/* Whether a list of words with commas has this one, in any case. */
bool jbi_fields_has_word(const jbi_fields *f, enum jbi_field field, const char *word);

#endif
