/*
 * body: see body.h. What is charged is the memory taken, not the bytes that came.
 */
#include "host/http/body.h"

void jbi_body_init(jbi_body *b, const jb_alloc *alloc)
{
    jbi_htext_init(&b->text, alloc);
    b->charged_bytes = 0;
}

bool jbi_body_add(jbi_body *b, const jbi_request_limits *limits, const char *at, size_t n)
{
    size_t *shared = limits->n_buffered_bytes;
    size_t cost = jbi_htext_cap_for(&b->text, n) - b->charged_bytes;

    if (jbi_body_exceeds(limits->max_buffered_bytes, *shared, cost))
        return false;
    jbi_htext_add(&b->text, at, n);
    if (b->text.is_broken)
        return false;
    *shared += cost;
    b->charged_bytes += cost;
    return true;
}

void jbi_body_release(jbi_body *b, const jbi_request_limits *limits)
{
    *limits->n_buffered_bytes -= b->charged_bytes;
    b->charged_bytes = 0;
    jbi_htext_fini(&b->text);
}
