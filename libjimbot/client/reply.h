/*
 * reply: one answer of an HTTP server, read by llhttp.
 *
 * Invariant: header and body are bounded before they are kept; after JBI_REPLY_DONE the bytes that
 * follow are not looked at.
 */
#ifndef JBI_CLIENT_REPLY_H
#define JBI_CLIENT_REPLY_H

#include "host/http/fields.h"
#include "jimbot/client.h"

#include <llhttp.h>

enum jbi_reply_progress { JBI_REPLY_MORE, JBI_REPLY_DONE, JBI_REPLY_BROKEN };

typedef struct jbi_reply {
    llhttp_t parser;
    jbi_fields fields;
    jbi_htext body;
    size_t n_header; /* bytes that are not body */
    char name[24];
    size_t name_bytes;
    uint32_t field;
    bool is_in_value;
    bool is_upgrade;     /* 101: what follows is not HTTP */
    bool is_header_done; /* status and fields are there */
    bool is_keep_alive;
    uint16_t status;
} jbi_reply;

void jbi_reply_init(jbi_reply *r, const jb_alloc *alloc);
void jbi_reply_fini(jbi_reply *r);

/* Forget the answer and be ready for the next. */
void jbi_reply_next(jbi_reply *r);

/* *ret_used: how many bytes belong to this answer, or were looked at. */
enum jbi_reply_progress jbi_reply_feed(jbi_reply *r, const char *bytes, size_t n, size_t *ret_used);

/* The connection has ended: whether that completes an answer without a length. */
bool jbi_reply_end(jbi_reply *r);

#endif
