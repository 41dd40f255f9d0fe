/*
 * leases: requests for leases, at once and in turn, and what their holders do with them; see
 * coord_service.h.
 *
 * A lease_id is the place in the table and the time of the grant, "17.3a5f…": with the token that
 * is all of a jb_lease, so nothing about leases is kept here, and those of before a restart go on.
 */
#include "host/coord/coord_service.h"

#include "host/text/msgfield.h"

enum { ID_BYTES = 40 };

/* --- reading */

static void put_id(char to[ID_BYTES], uint32_t slot, unsigned long long granted_ns)
{
    snprintf(to, ID_BYTES, "%u.%llx", slot, granted_ns);
}

bool jbi_coord_read_lease(jbi_slice m, jb_lease *ret)
{
    jbi_slice id = jbi_msg_bytes(m, 1);
    char text[ID_BYTES], same[ID_BYTES];
    unsigned long long granted_ns;
    unsigned slot;

    *ret = (jb_lease){.token = jbi_msg_value(m, 2, 0), .deadline_ns = UINT64_MAX};
    if (!id.data || id.len >= sizeof(text) || !ret->token)
        return false;
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    if (sscanf(text, "%10u.%16llx", &slot, &granted_ns) != 2)
        return false;
    put_id(same, slot, granted_ns);
    if (strlen(same) != id.len || memcmp(same, id.data, id.len) != 0)
        return false; /* it was given in one way only */
    ret->slot = slot;
    ret->granted_ns = granted_ns;
    return true;
}

static int find_component(jb_coord_service *s, jbi_slice name)
{
    char text[JB_QUOTA_NAME_BYTES];

    if (!name.data || name.len >= sizeof(text) || memchr(name.data, 0, name.len))
        return JB_ENOENT;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return jb_coord_find_component(s->coord, text);
}

int jbi_coord_find_resource(jb_coord_service *s, jbi_slice name)
{
    char text[JB_QUOTA_NAME_BYTES];

    if (!name.data || name.len >= sizeof(text) || memchr(name.data, 0, name.len))
        return JB_ENOENT;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return jb_coord_find_resource(s->coord, text);
}

/* The amounts of a repeated field. NULL, or what is wrong and with which code. */
const char *jbi_coord_read_amounts(jb_coord_service *s, jbi_slice m, uint32_t number,
                                   jbi_coord_grant *ret, uint32_t *ret_code)
{
    jbi_wire in = jbi_wire_of(m.data, m.len);
    jbi_msg_field f;

    *ret_code = JB_CALL_INVALID_ARGUMENT;
    ret->n_amounts = 0;
    while (jbi_msg_next(&in, &f) > 0) {
        int resource;

        if (!jbi_msg_is_bytes(&f, number))
            continue;
        if (ret->n_amounts == JB_QUOTA_AMOUNTS_MAX)
            return "a request names at most 8 resources";
        resource = jbi_coord_find_resource(s, jbi_msg_bytes(f.bytes, 1));
        if (resource < 0) {
            *ret_code = JB_CALL_NOT_FOUND;
            return "there is no such resource";
        }
        ret->amounts[ret->n_amounts++] =
            (jb_amount){.resource = (uint32_t)resource, .amount = jbi_msg_value(f.bytes, 2, 0)};
    }
    return ret->n_amounts ? NULL : "at least one amount is asked for";
}

const char *jbi_coord_read_wish(jb_coord_service *s, jbi_slice m, jbi_coord_grant *ret,
                                uint32_t *ret_code)
{
    const char *wrong = jbi_coord_read_amounts(s, m, 1, ret, ret_code);
    int component = find_component(s, jbi_msg_bytes(m, 2));

    if (wrong)
        return wrong;
    ret->component = (uint32_t)component;
    *ret_code = component < 0 ? JB_CALL_NOT_FOUND : JB_CALL_INVALID_ARGUMENT;
    return component < 0 ? "there is no such component" : NULL;
}

const char *jbi_coord_read_class(jbi_slice m, uint32_t number, jbi_coord_grant *ret)
{
    uint64_t lease_class = jbi_msg_value(m, number, 0);

    if (lease_class > JB_CLASS_CRITICAL)
        return "there is no such class";
    ret->lease_class = lease_class ? (uint32_t)lease_class : JB_CLASS_NORMAL;
    return NULL;
}

static const char *read_request(jb_coord_service *s, jbi_slice m, jbi_coord_grant *g,
                                uint32_t *ret_code)
{
    const char *wrong = jbi_coord_read_wish(s, m, g, ret_code);

    return wrong ? wrong : jbi_coord_read_class(m, 3, g);
}

/* --- writing */

static void put_amounts(jb_coord_service *s, uint32_t number, const jbi_coord_grant *g)
{
    char name[JB_QUOTA_NAME_BYTES];

    for (uint32_t i = 0; i < g->n_amounts; i++) {
        size_t mark = jbi_msg_open(&s->out, number);

        jbi_msg_put_text(&s->out, 1, jbi_coord_resource_name(s, g->amounts[i].resource, name));
        jbi_msg_put_value(&s->out, 2, g->amounts[i].amount);
        jbi_msg_close(&s->out, mark);
    }
}

void jbi_coord_put_lease(jb_coord_service *s, uint32_t number, const jb_lease *lease,
                         const jbi_coord_grant *g)
{
    uint64_t now_ns = jb_clock_now_ns();
    uint64_t left_ns = lease->deadline_ns > now_ns ? lease->deadline_ns - now_ns : 0;
    size_t mark = jbi_msg_open(&s->out, number);
    char text[ID_BYTES];

    put_id(text, lease->slot, lease->granted_ns);
    jbi_msg_put_text(&s->out, 1, text);
    jbi_msg_put_value(&s->out, 2, lease->token);
    if (g) {
        put_amounts(s, 3, g);
        jbi_msg_put_text(&s->out, 4, jbi_coord_component_name(s, g->component, text));
        jbi_msg_put_value(&s->out, 5, g->lease_class);
    }
    if (lease->deadline_ns != UINT64_MAX) {
        jbi_msg_put_value(&s->out, 6, jb_clock_utc_ns() + left_ns);
        jbi_msg_put_value(&s->out, 7, left_ns);
    }
    jbi_msg_put_value(&s->out, 8, now_ns > lease->granted_ns ? now_ns - lease->granted_ns : 0);
    jbi_msg_close(&s->out, mark);
}

/* --- in line */

/* The client has gone. */
static void on_gone(jb_call *call, void *userdata)
{
    jbi_coord_waiter *w = userdata;
    jb_coord_service *s = w->service;

    jb_coord_cancel(s->coord, &w->ticket);
    jbi_coord_waiter_free(w);
    jbi_coord_due_in(s, 0);
}

static void answer(jb_coord_service *s, const jbi_coord_op *op, jb_call *call,
                   const jb_lease *lease, const jbi_coord_grant *g, uint64_t waited_ns)
{
    jbi_htext_reset(&s->out, 1 << 16);
    jbi_coord_put_lease(s, 1, lease, g);
    if (waited_ns)
        jbi_msg_put_value(&s->out, 2, waited_ns);
    if (s->out.is_broken)
        jb_lease_release(s->coord, lease);
    jbi_coord_reply(s, op, call);
    if (lease->deadline_ns != UINT64_MAX && lease->deadline_ns > jb_clock_now_ns())
        jbi_coord_due_in(s, lease->deadline_ns - jb_clock_now_ns());
}

/* Whether it is over. */
static bool serve(jbi_coord_waiter *w)
{
    jb_coord_service *s = w->service;
    jbi_coord_waiter was = *w;
    jb_lease lease;
    int rc = jb_coord_poll(s->coord, &w->ticket, &lease);

    if (rc == 0)
        return false;
    jbi_coord_waiter_free(w);
    if (rc > 0)
        answer(s, was.op, was.call, &lease, &was.grant, jb_clock_now_ns() - was.begun_ns);
    else
        jbi_coord_refuse(s, was.call, rc);
    return true;
}

void jbi_coord_serve_waiters(jb_coord_service *s)
{
    for (jbi_coord_waiter *w = s->waiters, *next; w; w = next) {
        next = w->next;
        serve(w);
    }
}

static void wait_in_line(jb_coord_service *s, const jbi_coord_op *op, jb_call *call,
                         const jbi_coord_grant *g, const jb_want *want)
{
    jbi_coord_waiter *w = jbi_coord_waiter_new(s, op, call, g);
    int rc = w ? jb_coord_request(s->coord, want, &w->ticket) : JB_ELIMIT;

    if (rc < 0) {
        jbi_coord_waiter_free(w);
        jbi_coord_refuse(s, call, rc);
        return;
    }
    jbi_coord_waiter_join(w, &s->waiters, on_gone);
    if (!serve(w))
        jbi_coord_due_in(s, want->wait_ns);
}

static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

void jbi_coord_request(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jbi_coord_grant g = {.n_amounts = 0};
    jb_want want = {.flags = JB_WANT_DETACHED, .amounts = g.amounts};
    uint64_t hold_ns = jbi_msg_value(m, 4, 0);
    uint32_t code;
    const char *wrong = read_request(s, m, &g, &code);
    jb_lease lease;
    int rc;

    if (wrong) {
        jb_call_fail(call, code, wrong);
        return;
    }
    want.component = g.component;
    want.lease_class = g.lease_class;
    want.n_amounts = g.n_amounts;
    want.hold_ns = hold_ns ? at_most(hold_ns, s->opts.max_hold_ns) : s->opts.hold_ns;
    want.wait_ns = at_most(jbi_msg_value(m, 5, 0), s->opts.max_wait_ns);
    if (want.wait_ns) {
        wait_in_line(s, op, call, &g, &want);
        return;
    }
    rc = jb_coord_acquire(s->coord, &want, 0, &lease);
    if (rc < 0)
        jbi_coord_refuse(s, call, rc);
    else
        answer(s, op, call, &lease, &g, 0);
}

/* --- of a lease that is there */

static bool read_or_refuse(jb_call *call, jbi_slice m, jb_lease *lease)
{
    if (jbi_coord_read_lease(m, lease))
        return true;
    jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, "lease_id and token are those that were given");
    return false;
}

void jbi_coord_renew(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    uint64_t hold_ns = jbi_msg_value(m, 3, 0);
    jb_lease lease;
    int rc;

    if (!read_or_refuse(call, m, &lease))
        return;
    hold_ns = hold_ns ? at_most(hold_ns, s->opts.max_hold_ns) : s->opts.hold_ns;
    rc = jb_lease_renew(s->coord, &lease, hold_ns);
    if (rc < 0)
        jbi_coord_refuse(s, call, rc);
    else
        answer(s, op, call, &lease, NULL, 0);
}

void jbi_coord_shrink(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jbi_coord_grant kept = {.n_amounts = 0};
    uint64_t left_ns = UINT64_MAX;
    uint32_t code;
    jb_lease lease;
    const char *wrong;
    int rc = 0;

    if (!read_or_refuse(call, m, &lease))
        return;
    wrong = jbi_coord_read_amounts(s, m, 3, &kept, &code);
    if (wrong) {
        jb_call_fail(call, code, wrong);
        return;
    }
    for (uint32_t i = 0; i < kept.n_amounts && rc == 0; i++)
        rc = jb_lease_shrink(s->coord, &lease, kept.amounts[i].resource, kept.amounts[i].amount);
    if (rc == 0)
        rc = jb_lease_check(s->coord, &lease, &left_ns);
    if (rc < 0) {
        jbi_coord_refuse(s, call, rc);
        return;
    }
    if (left_ns != UINT64_MAX)
        lease.deadline_ns = jb_clock_now_ns() + left_ns;
    answer(s, op, call, &lease, NULL, 0);
}

void jbi_coord_release(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    uint64_t now_ns = jb_clock_now_ns();
    jb_lease lease;
    int rc;

    if (!read_or_refuse(call, m, &lease))
        return;
    rc = jb_lease_release(s->coord, &lease);
    if (rc < 0) {
        jbi_coord_refuse(s, call, rc);
        return;
    }
    jbi_msg_put_value(&s->out, 1, now_ns > lease.granted_ns ? now_ns - lease.granted_ns : 0);
    jbi_coord_reply(s, op, call);
}
