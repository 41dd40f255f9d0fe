/*
 * rates: what is taken of services that count: estimates reserved, what was used committed, and
 * what the service said of its limits; see coord_service.h.
 *
 * A reservation_id is the token, the place in the table and the resources in the order that they
 * were asked for, "5a2f….3.0,1": nothing about reservations is kept here.
 *
 * Who waits has a ticket in the coordinator's line, the same one in which other processes wait, and
 * a call that the host keeps.
 */
#include "host/coord/coord_service.h"

#include "host/text/msgfield.h"

enum { ID_BYTES = 80, AGAIN_NS = 5000000, BUSY_NS = 100000 };

/* --- states */

/* Append a RateState. */
static void put_state(jb_coord_service *s, uint32_t number, const jb_limit_info *l)
{
    size_t mark = jbi_msg_open(&s->out, number);
    uint64_t reset_ns = l->reset_after_ns > l->blocked_ns ? l->reset_after_ns : l->blocked_ns;
    char name[JB_QUOTA_NAME_BYTES];

    jbi_msg_put_text(&s->out, 1, jbi_coord_resource_name(s, l->resource, name));
    jbi_msg_put_value(&s->out, 2, l->most);
    jbi_msg_put_value(&s->out, 3, l->blocked_ns ? 0 : l->remaining);
    if (reset_ns)
        jbi_msg_put_value(&s->out, 4, reset_ns);
    if (l->period_ns)
        jbi_msg_put_value(&s->out, 5, l->period_ns);
    jbi_msg_close(&s->out, mark);
}

void jbi_coord_put_limits(jb_coord_service *s, uint32_t number, uint32_t resource)
{
    jb_limit_info l;

    for (uint32_t i = 0; jb_coord_limit_at(s->coord, i, &l) == 0; i++) {
        if (l.resource == resource && l.component == JB_LIMIT_ALL)
            put_state(s, number, &l);
    }
}

/* The limit on a resource that leaves a component least. */
static void put_tightest(jb_coord_service *s, uint32_t number, uint32_t component,
                         uint32_t resource)
{
    jb_limit_info tightest = {.most = 0};
    bool is_found = false;
    jb_limit_info l;

    for (uint32_t i = 0; jb_coord_limit_at(s->coord, i, &l) == 0; i++) {
        bool is_its = l.component == JB_LIMIT_ALL || l.component == component;

        if (l.resource != resource || !is_its ||
            (is_found && !l.blocked_ns && l.remaining >= tightest.remaining))
            continue;
        tightest = l;
        is_found = true;
        if (l.blocked_ns)
            break;
    }
    if (is_found)
        put_state(s, number, &tightest);
}

/* --- reserve */

static void put_id(jb_coord_service *s, const jb_usage *usage, const jbi_coord_grant *g)
{
    char text[ID_BYTES];
    int n = snprintf(text, sizeof(text), "%llx.%u.", (unsigned long long)usage->token, usage->slot);

    for (uint32_t i = 0; i < g->n_amounts; i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, i ? ",%u" : "%u", g->amounts[i].resource);
    jbi_msg_put_text(&s->out, 1, text);
}

static jb_take take_of(const jbi_coord_grant *g)
{
    return (jb_take){.component = g->component,
                     .n_amounts = g->n_amounts,
                     .amounts = g->amounts,
                     .lease_class = g->lease_class};
}

/* What became of it; a denial is an answer. */
static void answer(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, int rc,
                   const jbi_coord_grant *g, const jb_usage *usage, const jb_denial *denial)
{
    bool is_denied = rc == JB_EAGAIN || rc == JB_ETIMEDOUT;

    if (rc == JB_ENOENT) {
        jb_call_fail(call, JB_CALL_NOT_FOUND,
                     "there are no limits on rates, or what was given has ended meanwhile");
        return;
    }
    if (rc < 0 && !is_denied && rc != JB_ETOOBIG) {
        jbi_coord_refuse(s, call, rc);
        return;
    }
    jbi_htext_reset(&s->out, 1 << 16);
    if (rc >= 0)
        put_id(s, usage, g);
    else if (is_denied)
        jbi_msg_put_value(&s->out, 2,
                          denial->retry_after_ns == UINT64_MAX ? AGAIN_NS : denial->retry_after_ns);
    for (uint32_t i = 0; i < g->n_amounts; i++)
        put_tightest(s, 3, g->component, g->amounts[i].resource);
    if (s->out.is_broken && rc >= 0)
        jb_usage_refund(s->coord, usage);
    jbi_coord_reply(s, op, call);
}

/* --- in line */

/* The client has gone. */
static void on_gone(jb_call *call, void *userdata)
{
    jbi_coord_waiter *t = userdata;
    jb_coord_service *s = t->service;

    jb_usage_cancel(s->coord, &t->ticket);
    jbi_coord_waiter_free(t);
    jbi_coord_due_in(s, 0);
}

/* Whether it is our turn. Returns nanoseconds until to ask again, should nothing happen; the taker
 * may be gone. */
static uint64_t serve(jbi_coord_waiter *t)
{
    jb_coord_service *s = t->service;
    jbi_coord_waiter was = *t;
    jb_denial denial = {.limit = 0};
    jb_usage usage;
    int rc = jb_usage_poll(s->coord, &t->ticket, &usage, &denial);

    if (rc == 0)
        return denial.limit == UINT32_MAX ? BUSY_NS : UINT64_MAX;
    jbi_coord_waiter_free(t);
    answer(s, was.op, was.call, rc, &was.grant, &usage, &denial);
    return UINT64_MAX;
}

uint64_t jbi_coord_serve_takers(jb_coord_service *s)
{
    uint64_t next_ns = UINT64_MAX;

    for (jbi_coord_waiter *t = s->takers, *next; t; t = next) {
        uint64_t ns;

        next = t->next;
        ns = serve(t);
        if (ns < next_ns)
            next_ns = ns;
    }
    return next_ns;
}

/* Something may have come back. */
static void ask_all_again(jb_coord_service *s)
{
    if (s->takers)
        jbi_coord_due_in(s, 0);
}

static void wait_in_line(jb_coord_service *s, const jbi_coord_op *op, jb_call *call,
                         const jbi_coord_grant *g, uint64_t wait_ns)
{
    jbi_coord_waiter *t = jbi_coord_waiter_new(s, op, call, g);
    const jb_denial denial = {.limit = 0};
    const jb_usage usage = {.token = 0};
    jb_take take = take_of(g);
    int rc = t ? jb_usage_request(s->coord, &take, wait_ns, &t->ticket) : JB_ELIMIT;

    if (rc < 0) {
        jbi_coord_waiter_free(t);
        answer(s, op, call, rc, g, &usage, &denial);
        return;
    }
    jbi_coord_waiter_join(t, &s->takers, on_gone);
    (void)serve(t);
    ask_all_again(s);
}

void jbi_coord_reserve(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    uint64_t wait_ns = jbi_msg_value(m, 3, 0);
    jbi_coord_grant g = {.n_amounts = 0};
    jb_denial denial = {.retry_after_ns = 0};
    uint32_t code;
    const char *wrong = jbi_coord_read_wish(s, m, &g, &code);
    jb_usage usage;
    jb_take take;
    int rc;

    if (!wrong)
        wrong = jbi_coord_read_class(m, 4, &g);
    if (wrong) {
        jb_call_fail(call, code, wrong);
        return;
    }
    if (wait_ns > s->opts.max_wait_ns)
        wait_ns = s->opts.max_wait_ns;
    if (wait_ns) {
        wait_in_line(s, op, call, &g, wait_ns);
        return;
    }
    take = take_of(&g);
    rc = jb_usage_reserve(s->coord, &take, 0, &usage, &denial);
    answer(s, op, call, rc, &g, &usage, &denial);
}

/* --- commit */

/* A reservation_id; false: it is none. */
static bool read_id(jbi_slice id, jb_usage *usage, jbi_coord_grant *g)
{
    char text[ID_BYTES];
    unsigned long long token;
    const char *at = text;
    int n = 0;

    if (!id.data || id.len >= sizeof(text))
        return false;
    memcpy(text, id.data, id.len);
    text[id.len] = '\0';
    if (sscanf(text, "%16llx.%10u%n", &token, &usage->slot, &n) != 2)
        return false;
    usage->token = token;
    at += n;
    for (g->n_amounts = 0; *at && g->n_amounts < JB_QUOTA_AMOUNTS_MAX; g->n_amounts++) {
        jb_amount *a = &g->amounts[g->n_amounts];

        *a = (jb_amount){.amount = 0};
        if (*at != (g->n_amounts ? ',' : '.') || sscanf(at + 1, "%3u%n", &a->resource, &n) != 1)
            return false;
        at += 1 + n;
    }
    return g->n_amounts && !*at;
}

void jbi_coord_commit(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jbi_coord_grant taken = {.n_amounts = 0};
    jbi_coord_grant used = {.n_amounts = 0};
    uint64_t amounts[JB_QUOTA_AMOUNTS_MAX] = {0};
    jb_usage usage = {.token = 0};
    uint32_t n_found = 0;
    const char *wrong;
    uint32_t code;
    int rc;

    if (!read_id(jbi_msg_bytes(m, 1), &usage, &taken)) {
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, "reservation_id is one that was given");
        return;
    }
    wrong = jbi_coord_read_amounts(s, m, 2, &used, &code);
    if (wrong && jbi_msg_bytes(m, 2).data) {
        jb_call_fail(call, code, wrong);
        return;
    }
    for (uint32_t i = 0; i < used.n_amounts; i++) {
        for (uint32_t k = 0; k < taken.n_amounts; k++) {
            if (used.amounts[i].resource != taken.amounts[k].resource)
                continue;
            amounts[k] = used.amounts[i].amount;
            n_found++;
        }
    }
    if (n_found < used.n_amounts) {
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT, "a resource was used that was not reserved");
        return;
    }
    rc = used.n_amounts ? jb_usage_commit(s->coord, &usage, amounts, taken.n_amounts)
                        : jb_usage_refund(s->coord, &usage);
    if (rc == JB_ENOENT) {
        jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such reservation, or it has ended");
        return;
    }
    if (rc < 0) {
        jbi_coord_refuse(s, call, rc);
        return;
    }
    for (uint32_t k = 0; k < taken.n_amounts; k++)
        put_tightest(s, 1, JB_LIMIT_ALL, taken.amounts[k].resource);
    jbi_coord_reply(s, op, call);
    ask_all_again(s);
}

/* --- correct */

static bool has_value(jbi_slice m, uint32_t number)
{
    return jbi_msg_value(m, number, 0) == jbi_msg_value(m, number, 1);
}

/* The one limit that a RateState means, or JB_ENOENT; JB_EINVAL: there are several. */
static int find_limit(jb_coord_service *s, jbi_slice state, int resource)
{
    uint64_t window_ns = jbi_msg_value(state, 5, 0);
    int found = JB_ENOENT;
    jb_limit_info l;

    for (uint32_t i = 0; jb_coord_limit_at(s->coord, i, &l) == 0; i++) {
        if ((int)l.resource != resource || l.component != JB_LIMIT_ALL || l.kind == JB_LIMIT_OPEN ||
            (window_ns && l.period_ns != window_ns))
            continue;
        if (found >= 0)
            return JB_EINVAL;
        found = (int)i;
    }
    return found;
}

static int correct(jb_coord_service *s, jbi_slice state, int *ret_resource)
{
    jb_correction c = {.limit = jbi_msg_value(state, 2, 0),
                       .remaining = jbi_msg_value(state, 3, 0)};
    uint64_t reset_ns = jbi_msg_value(state, 4, 0);
    int limit, rc;

    *ret_resource = jbi_coord_find_resource(s, jbi_msg_bytes(state, 1));
    limit = *ret_resource < 0 ? JB_ENOENT : find_limit(s, state, *ret_resource);
    if (limit < 0)
        return limit;
    c.flags = (has_value(state, 2) ? JB_CORRECT_LIMIT : 0u) |
              (has_value(state, 3) ? JB_CORRECT_REMAINING : 0u);
    rc = c.flags ? jb_usage_correct(s->coord, (uint32_t)limit, &c) : 0;
    if (rc == 0 && reset_ns && (c.flags & JB_CORRECT_REMAINING) && c.remaining == 0)
        rc = jb_usage_block(s->coord, (uint32_t)*ret_resource, reset_ns);
    return rc;
}

void jbi_coord_correct(jb_coord_service *s, const jbi_coord_op *op, jb_call *call, jbi_slice m)
{
    jbi_wire in = jbi_wire_of(m.data, m.len);
    int rc = JB_EINVAL;
    jbi_msg_field f;

    while (jbi_msg_next(&in, &f) > 0) {
        int resource;

        if (!jbi_msg_is_bytes(&f, 1))
            continue;
        rc = correct(s, f.bytes, &resource);
        if (rc < 0)
            break;
        jbi_coord_put_limits(s, 1, (uint32_t)resource);
    }
    if (rc == 0)
        jbi_coord_reply(s, op, call);
    else if (rc == JB_ENOENT)
        jb_call_fail(call, JB_CALL_NOT_FOUND, "there is no such limit for all components");
    else if (rc == JB_EINVAL)
        jb_call_fail(call, JB_CALL_INVALID_ARGUMENT,
                     "at least one state is given; of several limits, window_ns says which");
    else
        jbi_coord_refuse(s, call, rc);
    ask_all_again(s);
}
