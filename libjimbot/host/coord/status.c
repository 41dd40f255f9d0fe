/*
 * status: how resources, components and leases stand; see coord_service.h.
 */
#include "host/coord/coord_service.h"

#include "host/text/hmem.h"
#include "host/text/msgfield.h"

#include <stdlib.h>

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000 };

#define EVERY_NS     UINT64_C(1000000000)
#define EVERY_MIN_NS UINT64_C(10000000)
#define EVERY_MAX_NS UINT64_C(3600000000000)

/* Which resources are meant. */
typedef struct filter {
    uint32_t kind; /* 0: all */
    char resource[JB_QUOTA_NAME_BYTES];
} filter;

static bool copy_name(jbi_slice name, char to[JB_QUOTA_NAME_BYTES])
{
    to[0] = '\0';
    if (!name.data)
        return true;
    if (name.len >= JB_QUOTA_NAME_BYTES || memchr(name.data, 0, name.len))
        return false;
    memcpy(to, name.data, name.len);
    to[name.len] = '\0';
    return true;
}

static bool read_filter(jb_coord_service *s, jb_call *call, jbi_slice m, filter *ret)
{
    ret->kind = (uint32_t)jbi_msg_value(m, 2, 0);
    if (copy_name(jbi_msg_bytes(m, 1), ret->resource) &&
        (!ret->resource[0] || jb_coord_find_resource(s->coord, ret->resource) >= 0))
        return true;
    jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such resource");
    return false;
}

static void put_resource(jb_coord_service *s, uint32_t idx, const jb_resource_info *r)
{
    jbi_htext *out = &s->out;
    size_t mark = jbi_msg_open(out, 1);

    jbi_msg_put_text(out, 1, r->name);
    jbi_msg_put_value(out, 2, r->kind);
    jbi_msg_put_value(out, 3, r->capacity);
    jbi_msg_put_value(out, 4, r->allocated);
    jbi_msg_put_value(out, 5, r->n_leases);
    jbi_msg_put_value(out, 6, r->n_waiting);
    jbi_coord_put_limits(s, 7, idx);
    jbi_msg_put_value(out, 8, r->headroom);
    jbi_msg_put_value(out, 9, r->foreign);
    jbi_msg_put_value(out, 10, r->n_granted);
    jbi_msg_put_value(out, 11, r->n_denied);
    jbi_coord_put_resource_use(s, 12, idx);
    jbi_msg_close(out, mark);
}

static void put_component(jb_coord_service *s, uint32_t idx, const jb_component_info *c)
{
    jbi_htext *out = &s->out;
    size_t mark = jbi_msg_open(out, 2);
    char name[JB_QUOTA_NAME_BYTES];
    jb_share_info share;

    jbi_msg_put_text(out, 1, c->name);
    jbi_msg_put_value(out, 2, c->weight);
    jbi_msg_put_value(out, 3, c->n_leases);
    jbi_msg_put_value(out, 4, c->n_waiting);
    for (uint32_t i = 0; jb_coord_share_at(s->coord, idx, i, &share) == 0; i++) {
        size_t item;

        if (!share.allocated)
            continue;
        item = jbi_msg_open(out, 5);
        jbi_msg_put_text(out, 1, jbi_coord_resource_name(s, i, name));
        jbi_msg_put_value(out, 2, share.allocated);
        jbi_msg_close(out, item);
    }
    jbi_msg_put_value(out, 6, c->n_granted);
    jbi_msg_put_value(out, 7, c->n_denied);
    jbi_msg_put_value(out, 8, c->n_ended[JB_LEASE_EXPIRED]);
    jbi_msg_put_value(out, 9, c->n_ended[JB_LEASE_REVOKED]);
    jbi_msg_put_value(out, 10, c->n_ended[JB_LEASE_HOLDER_DIED]);
    jbi_coord_put_component_use(s, 11, idx);
    jbi_msg_close(out, mark);
}

static void put_status(jb_coord_service *s, const filter *f)
{
    jb_component_info component;
    jb_resource_info resource;

    for (uint32_t i = 0; jb_coord_resource_at(s->coord, i, &resource) == 0; i++) {
        if ((!f->kind || f->kind == resource.kind) &&
            (!f->resource[0] || !strcmp(f->resource, resource.name)))
            put_resource(s, i, &resource);
    }
    for (uint32_t i = 0; jb_coord_component_at(s->coord, i, &component) == 0; i++)
        put_component(s, i, &component);
}

void jbi_coord_status(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    filter f;

    if (!read_filter(s, call, m, &f))
        return;
    put_status(s, &f);
    jbi_coord_reply(s, op, call);
}

/* --- again and again */

static void on_gone(jb_call *call, void *userdata)
{
    jbi_coord_stream *t = userdata;
    jb_coord_service *s = t->service;

    if (t->prev)
        t->prev->next = t->next;
    else
        s->streams = t->next;
    if (t->next)
        t->next->prev = t->prev;
    jbi_hmem_free(s->alloc, t, sizeof(*t));
}

uint64_t jbi_coord_feed_streams(jb_coord_service *s)
{
    uint64_t now_ns = jb_clock_now_ns();
    uint64_t next_ns = UINT64_MAX;

    for (jbi_coord_stream *t = s->streams, *next; t; t = next) {
        filter f = {.kind = t->kind};
        uint64_t every_ns = t->every_ns;

        next = t->next;
        memcpy(f.resource, t->resource, sizeof(f.resource));
        if (t->due_ns > now_ns) {
            every_ns = t->due_ns - now_ns;
        } else {
            t->due_ns = now_ns + every_ns;
            jbi_htext_reset(&s->out, 1 << 16);
            put_status(s, &f);
            /* A client that is behind gets the next one; one that may no more is gone, see
             * on_gone(). */
            jb_call_send(t->call, s->out.data ? s->out.data : "", s->out.len);
        }
        if (every_ns < next_ns)
            next_ns = every_ns;
    }
    return next_ns;
}

void jbi_coord_stream_status(jb_coord_service *s, const jbi_coord_op *op, jb_call *call,
                             jbi_slice m)
{
    uint64_t every_ns = jbi_msg_value(m, 3, EVERY_NS);
    jbi_coord_stream *t;
    filter f;

    if (!read_filter(s, call, m, &f))
        return;
    if (every_ns < EVERY_MIN_NS || every_ns > EVERY_MAX_NS) {
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, "every_ns is 10 ms to 1 h");
        return;
    }
    t = jbi_hmem_zalloc(s->alloc, sizeof(*t));
    if (!t) {
        jbi_coord_refuse(s, call, JB_ELIMIT);
        return;
    }
    *t = (jbi_coord_stream){
        .service = s, .call = call, .every_ns = every_ns, .kind = f.kind, .next = s->streams};
    memcpy(t->resource, f.resource, sizeof(t->resource));
    if (t->next)
        t->next->prev = t;
    s->streams = t;
    jb_call_on_close(call, on_gone, t);
    jbi_coord_due_in(s, 0);
}

/* --- leases */

static void grant_of(const jb_lease_info *info, jb_lease *lease, jbi_coord_grant *g)
{
    *lease = (jb_lease){.token = info->token,
                        .granted_ns = info->granted_ns,
                        .deadline_ns = info->deadline_ns,
                        .slot = info->slot};
    g->component = info->component;
    g->lease_class = info->lease_class;
    g->n_amounts = info->n_amounts;
    memcpy(g->amounts, info->amounts, sizeof(g->amounts));
}

static bool is_on(const jb_lease_info *info, int resource)
{
    for (uint32_t i = 0; i < info->n_amounts; i++) {
        if ((int)info->amounts[i].resource == resource)
            return true;
    }
    return resource < 0;
}

static bool read_page(jbi_slice m, uint64_t *ret_size, uint32_t *ret_cursor)
{
    jbi_slice token = jbi_msg_bytes(m, 3);
    char text[12] = "0";

    *ret_size = jbi_msg_value(m, 2, PAGE_DEFAULT);
    if (token.len >= sizeof(text))
        return false;
    if (token.len) {
        memcpy(text, token.data, token.len);
        text[token.len] = '\0';
    }
    *ret_cursor = (uint32_t)strtoul(text, NULL, 10);
    return strspn(text, "0123456789") == strlen(text) && *ret_size >= 1 && *ret_size <= PAGE_MAX;
}

void jbi_coord_list(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    char name[JB_QUOTA_NAME_BYTES];
    int resource = -1;
    jb_lease_info info;
    uint64_t n_max;
    uint32_t cursor;

    if (!read_page(m, &n_max, &cursor)) {
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT,
                     "page_size is 1 to 1000, and page_token one that was given");
        return;
    }
    if (!copy_name(jbi_msg_bytes(m, 1), name) ||
        (name[0] && (resource = jb_coord_find_resource(s->coord, name)) < 0)) {
        jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such resource");
        return;
    }
    while (n_max && jb_coord_next_lease(s->coord, &cursor, &info) > 0) {
        jbi_coord_grant g;
        jb_lease lease;

        if (!is_on(&info, resource))
            continue;
        grant_of(&info, &lease, &g);
        jbi_coord_put_lease(s, 1, &lease, &g);
        n_max--;
    }
    if (!n_max) {
        snprintf(name, sizeof(name), "%u", cursor);
        jbi_msg_put_text(&s->out, 2, name);
    }
    jbi_coord_reply(s, op, call);
}

/* Know the slot of every token: those of the leases there are, and from then on those that records
 * tell of, also of other processes. False: there is no memory. */
static bool know_slots(jb_coord_service *s)
{
    jb_lease_info info;
    jb_coord_stats stats;
    uint32_t cursor = 0;

    while (jbi_coord_read_records(s))
        continue;
    if (s->slots.is_whole)
        return true;
    if (!s->slots.n && (jb_coord_get_stats(s->coord, &stats) < 0 ||
                        jbi_slots_init(&s->slots, stats.max_leases, s->alloc) < 0))
        return false;
    s->slots.is_whole = true;
    while (jb_coord_next_lease(s->coord, &cursor, &info) > 0)
        jbi_slots_put(&s->slots, info.token, info.slot);
    return true;
}

/* The lease of a token, if it goes on and is on that resource. */
static bool find_token(jb_coord_service *s, uint64_t token, int resource, jb_lease_info *ret)
{
    bool is_known = know_slots(s);
    uint32_t cursor = 0;

    if (is_known && !jbi_slots_find(&s->slots, token, &cursor))
        return false;
    while (jb_coord_next_lease(s->coord, &cursor, ret) > 0) {
        if (ret->token == token)
            return is_on(ret, resource);
        if (is_known)
            return false; /* it has ended */
    }
    return false;
}

void jbi_coord_check(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    char name[JB_QUOTA_NAME_BYTES];
    uint64_t token = jbi_msg_value(m, 2, 0);
    uint64_t now_ns = jb_clock_now_ns();
    jb_lease_info info;
    int resource = JB_ENOENT;
    bool is_valid;

    if (copy_name(jbi_msg_bytes(m, 1), name) && name[0])
        resource = jb_coord_find_resource(s->coord, name);
    if (resource < 0) {
        jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such resource");
        return;
    }
    is_valid = find_token(s, token, resource, &info);
    jbi_msg_put_value(&s->out, 1, is_valid);
    if (is_valid && info.deadline_ns != UINT64_MAX)
        jbi_msg_put_value(&s->out, 2, info.deadline_ns > now_ns ? info.deadline_ns - now_ns : 0);
    jbi_coord_reply(s, op, call);
}

void jbi_coord_health(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jb_coord_stats stats;
    int rc = jb_coord_get_stats(s->coord, &stats);

    if (rc < 0) {
        jbi_coord_refuse(s, call, rc);
        return;
    }
    jbi_msg_put_value(&s->out, 1, !jbi_coord_is_stopping(s));
    jbi_msg_put_value(&s->out, 2, jb_clock_now_ns() - s->begun_ns);
    jbi_msg_put_value(&s->out, 3, stats.n_leases);
    jbi_msg_put_value(&s->out, 4, stats.n_waiting);
    jbi_msg_put_text(&s->out, 5, jb_version_string());
    jbi_msg_put_value(&s->out, 6, stats.max_leases);
    jbi_coord_reply(s, op, call);
}
