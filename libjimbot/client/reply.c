/*
 * reply: see reply.h.
 */
#include "client/reply.h"

#include <string.h>

enum { HEADER_MAX = 16 * 1024, BODY_MAX = 1024 * 1024 };

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    jbi_reply *r = p->data;

    if (r->name_bytes + n <= sizeof(r->name))
        memcpy(r->name + r->name_bytes, at, n);
    r->name_bytes += n;
    return 0;
}

static void begin_value(jbi_reply *r)
{
    if (r->is_in_value)
        return;
    r->is_in_value = true;
    r->field = r->name_bytes <= sizeof(r->name) ? jbi_fields_find(r->name, r->name_bytes)
                                                : JBI_FIELD_OTHER;
    jbi_fields_begin(&r->fields, r->field);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    jbi_reply *r = p->data;

    begin_value(r);
    jbi_fields_append(&r->fields, r->field, at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    jbi_reply *r = p->data;

    begin_value(r);
    r->is_in_value = false;
    r->name_bytes = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    jbi_reply *r = p->data;

    r->status = (uint16_t)p->status_code;
    r->is_upgrade = r->status == 101;
    r->is_header_done = r->status >= 200 || r->is_upgrade;
    /* Anything but 101 has a body to be read, whatever it says of an upgrade. */
    p->upgrade = r->is_upgrade;
    return r->is_upgrade ? 2 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    jbi_reply *r = p->data;

    if (n > BODY_MAX - r->body.len)
        return HPE_USER;
    jbi_htext_add(&r->body, at, n);
    r->n_header -= n;
    return r->body.is_broken ? HPE_USER : 0;
}

static int on_complete(llhttp_t *p)
{
    jbi_reply *r = p->data;

    r->is_keep_alive = llhttp_should_keep_alive(p);
    return r->status >= 100 && r->status < 200 && r->status != 101 ? 0 : HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_header_field = on_field,
                                           .on_header_value = on_value,
                                           .on_header_value_complete = on_value_complete,
                                           .on_headers_complete = on_headers_complete,
                                           .on_body = on_body,
                                           .on_message_complete = on_complete};

void jbi_reply_init(jbi_reply *r, const jb_alloc *alloc)
{
    memset(r, 0, sizeof(*r));
    jbi_fields_init(&r->fields, alloc);
    jbi_htext_init(&r->body, alloc);
    jbi_reply_next(r);
}

void jbi_reply_fini(jbi_reply *r)
{
    jbi_fields_fini(&r->fields);
    jbi_htext_fini(&r->body);
}

void jbi_reply_next(jbi_reply *r)
{
    llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
    r->parser.data = r;
    jbi_fields_reset(&r->fields);
    jbi_htext_reset(&r->body, 64 * 1024);
    r->n_header = r->name_bytes = 0;
    r->is_in_value = r->is_upgrade = r->is_header_done = r->is_keep_alive = false;
    r->status = 0;
}

enum jbi_reply_progress jbi_reply_feed(jbi_reply *r, const char *bytes, size_t n, size_t *ret_used)
{
    llhttp_errno_t code;

    *ret_used = n;
    r->n_header += n;
    code = llhttp_execute(&r->parser, bytes, n);
    if (code == HPE_PAUSED || code == HPE_PAUSED_UPGRADE) {
        *ret_used = (size_t)(llhttp_get_error_pos(&r->parser) - bytes);
        r->n_header -= n - *ret_used;
    } else if (code != HPE_OK) {
        return JBI_REPLY_BROKEN;
    }
    if (r->n_header > HEADER_MAX + r->body.len || r->fields.text.is_broken)
        return JBI_REPLY_BROKEN;
    return code == HPE_OK ? JBI_REPLY_MORE : JBI_REPLY_DONE;
}

bool jbi_reply_end(jbi_reply *r)
{
    return llhttp_finish(&r->parser) == HPE_PAUSED;
}
