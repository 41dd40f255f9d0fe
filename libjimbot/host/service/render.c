/*
 * render: see render.h. The texts are kept in a direct-mapped table: a slot is chosen by sequence
 * and form, and its old text goes.
 */
#include "host/service/render.h"

#include "host/service/messages.h"
#include "host/service/service.h"
#include "host/text/hmem.h"

/* What is kept of an event: how it is written, for each dialect. */
enum form { FORM_EVENT = 0, FORM_INCOMING = 1, FORMS = 2 };

typedef struct kept {
    uint64_t sequence; /* 0: nothing */
    uint32_t form;     /* with the dialect */
    jbi_htext text;
} kept;

struct jbi_render {
    kept slots[JBI_RENDER_KEPT];
    size_t n_bytes; /* capacity of all texts */
};

static const char *topic_of(jbi_service *s, const jb_event *e)
{
    const char *topic = "unknown";

    jb_bus_topic_name(s->bus, e->topic_id, &topic);
    return topic;
}

void jbi_render_incoming(jbi_service *s, const jb_event *e, jbi_htext *out)
{
    jbi_msg_put_bytes(out, 1, (jbi_slice){(const char *)e->payload, e->len_bytes});
    jbi_msg_put_value(out, 2, e->sequence);
    jbi_msg_put_bytes(out, 3, jbi_slice_str(topic_of(s, e)));
    jbi_msg_put_value(out, 4, e->time_ns + s->utc_offset_ns);
    jbi_msg_put_value(out, 5, e->publisher);
    if (e->key)
        jbi_msg_put_value(out, 6, e->key);
    if (e->n_missed)
        jbi_msg_put_value(out, 7, e->n_missed);
    if (e->n_deliveries)
        jbi_msg_put_value(out, 8, e->n_deliveries);
}

/* Append the event in a dialect. Returns 0, or why it cannot be. */
static int add_event(const jb_event *e, uint32_t dialect, jbi_htext *out)
{
    size_t room = (size_t)e->len_bytes * 3 + 256;

    for (;;) {
        char *to = jbi_htext_reserve(out, room);
        int64_t n;

        if (!to)
            return JB_ENOMEM;
        n = jb_event_to_json_as(dialect, e->payload, e->len_bytes, to, room, NULL);
        if (n < 0)
            return (int)n;
        if ((size_t)n <= room) {
            out->len += (size_t)n;
            return 0;
        }
        room = (size_t)n;
    }
}

static void member(jbi_htext *out, const char *name, uint64_t value)
{
    jbi_htext_str(out, name);
    jbi_htext_u64(out, value);
}

/* All but the closing brace, before which the reader's own members go. */
static void add_incoming(jbi_service *s, const jb_event *e, uint32_t dialect, jbi_htext *out)
{
    int rc;

    jbi_htext_str(out, "{\"event\":");
    rc = add_event(e, dialect, out);
    if (rc < 0) {
        jbi_htext_str(out, "null,\"error\":");
        jbi_htext_json(out, jb_strerror(rc), strlen(jb_strerror(rc)));
    }
    member(out, ",\"sequence\":", e->sequence);
    jbi_htext_str(out, ",\"topic\":");
    jbi_htext_json(out, topic_of(s, e), strlen(topic_of(s, e)));
    member(out, ",\"time_utc_ns\":", e->time_ns + s->utc_offset_ns);
    member(out, ",\"publisher\":", e->publisher);
    if (e->key)
        member(out, ",\"key\":", e->key);
}

static void make(jbi_service *s, const jb_event *e, enum form form, uint32_t dialect,
                 jbi_htext *out)
{
    if (form == FORM_INCOMING)
        add_incoming(s, e, dialect, out);
    else if (add_event(e, dialect, out) < 0)
        jbi_htext_str(out, "null");
}

/* Give a slot's memory back when it is much, or all are too much together. */
static void clear(jbi_render *r, kept *k)
{
    size_t cap = k->text.cap;
    bool is_over = r->n_bytes > JBI_RENDER_BYTES / 2;

    jbi_htext_reset(&k->text, is_over ? 0 : 16 * 1024);
    r->n_bytes -= cap - k->text.cap;
    k->sequence = 0;
}

/* Where the text of an event is kept, made if it is not there; NULL when it cannot be kept. */
static const jbi_htext *keep(jbi_service *s, const jb_event *e, enum form form, uint32_t dialect)
{
    uint32_t key = dialect * FORMS + form;
    kept *k;

    if (s->n_feeds < 2 || e->len_bytes > JBI_RENDER_MAX_BYTES / 4)
        return NULL;
    if (!s->render)
        s->render = jbi_hmem_zalloc(s->alloc, sizeof(*s->render));
    if (!s->render)
        return NULL;
    k = &s->render->slots[(e->sequence + key * 61) % JBI_RENDER_KEPT];
    if (k->sequence == e->sequence && k->form == key)
        return &k->text;
    k->text.alloc = s->alloc;
    clear(s->render, k);
    s->render->n_bytes -= k->text.cap;
    make(s, e, form, dialect, &k->text);
    s->render->n_bytes += k->text.cap;
    if (k->text.is_broken || s->render->n_bytes > JBI_RENDER_BYTES ||
        k->text.len > JBI_RENDER_MAX_BYTES) {
        s->render->n_bytes -= k->text.cap;
        jbi_htext_fini(&k->text);
        return NULL;
    }
    k->sequence = e->sequence;
    k->form = key;
    return &k->text;
}

static void add(jbi_service *s, const jb_event *e, enum form form, uint32_t dialect, jbi_htext *out)
{
    const jbi_htext *text = keep(s, e, form, dialect);

    if (text)
        jbi_htext_add(out, text->data, text->len);
    else
        make(s, e, form, dialect, out);
}

void jbi_render_incoming_json(jbi_service *s, const jb_event *e, uint32_t dialect, jbi_htext *out)
{
    add(s, e, FORM_INCOMING, dialect, out);
    if (e->n_missed)
        member(out, ",\"n_missed\":", e->n_missed);
    if (e->n_deliveries)
        member(out, ",\"n_deliveries\":", e->n_deliveries);
    jbi_htext_str(out, "}");
}

void jbi_render_event_json(jbi_service *s, const jb_event *e, uint32_t dialect, jbi_htext *out)
{
    add(s, e, FORM_EVENT, dialect, out);
}

void jbi_render_forget(jbi_service *s)
{
    for (int i = 0; s->render && i < JBI_RENDER_KEPT; i++)
        s->render->slots[i].sequence = 0;
}

void jbi_render_fini(jbi_service *s)
{
    if (!s->render)
        return;
    for (int i = 0; i < JBI_RENDER_KEPT; i++) {
        if (s->render->slots[i].text.alloc)
            jbi_htext_fini(&s->render->slots[i].text);
    }
    jbi_hmem_free(s->alloc, s->render, sizeof(*s->render));
    s->render = NULL;
}
