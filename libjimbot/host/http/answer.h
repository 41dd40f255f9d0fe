/*
 * answer: what is sent back for one request, from status and body to bytes.
 *
 * Invariant: every answer carries a Content-Length that is right (or is a 204), so a client always
 * finds the next answer of a pipelined connection; but for those that hand the connection over.
 */
#ifndef JBI_HOST_ANSWER_H
#define JBI_HOST_ANSWER_H

#include "host/text/htext.h"
#include "host/text/slice.h"

struct jb_call;
struct jbi_protocol;

typedef struct jbi_answer {
    uint16_t status;
    uint16_t retry_after_s; /* 0: no Retry-After */
    const char *content_type;
    jbi_htext *body; /* borrowed; where a handler writes */
    char allow[48];  /* for 405 and OPTIONS; "" none */

    /* With `next` the answer has no end: after the header the connection is that protocol's, which
     * is given next_arg and owns it. Only for HTTP/1.1. */
    const struct jbi_protocol *next;
    void *next_arg;
    struct jb_call *later; /* there is no answer yet: who made the call will give it; NULL none */
    jbi_slice origin;      /* of the page that may read the answer (CORS); data NULL: none */
    const char *fields;    /* more header fields, each with its line end; NULL none; borrowed */
} jbi_answer;

typedef struct jbi_answer_form {
    bool is_keep_alive;
    bool is_http_1_0;
    bool is_head;     /* header only */
    const char *date; /* IMF-fixdate */
} jbi_answer_form;

/* Make it a 200 of JSON with an empty body. */
void jbi_answer_init(jbi_answer *a, jbi_htext *body);

/* Replace what is in the body with {"status":"error","error":message}; `_at` adds "offset". */
void jbi_answer_error(jbi_answer *a, uint16_t status, const char *message);
void jbi_answer_error_at(jbi_answer *a, uint16_t status, const char *message, uint64_t offset);

/* Append header and body to out. */
void jbi_answer_write(const jbi_answer *a, const jbi_answer_form *form, jbi_htext *out);

/* What an allowed page may set in its requests. */
#define JBI_ANSWER_PAGE_FIELDS                                                                     \
    "Authorization, Content-Type, Content-Encoding, Last-Event-ID, Traceparent"

/* Whether the browser asks beforehand what a page may, and is told. */
bool jbi_answer_is_preflight(const jbi_answer *a);

const char *jbi_answer_reason(uint16_t status);

#endif
