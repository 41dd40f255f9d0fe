/*
 * lists: what there is on the bus: its topics, its subscriptions, and the clients of this host that
 * have some of them.
 *
 * Invariant: an answer's length is bounded, by a page of topics and by the bus's own limit of
 * subscriptions.
 */
#include "host/http/query.h"
#include "host/service/service.h"
#include "host/text/hmem.h"
#include "host/text/jwalk.h"

enum { PAGE_TOPICS = 100, PAGE_TOPICS_MAX = 1000 };

/* Where a page of topics begins, and how long it may be. */
typedef struct page {
    uint64_t after; /* id of the last topic of the page before */
    uint64_t n_max;
} page;

static const char *read_page(const jbi_call *call, char *room, page *p)
{
    jbi_slice name, value;
    jbi_query q;
    int rc;

    *p = (page){.n_max = PAGE_TOPICS};
    jbi_query_begin(&q, call->query, call->query_bytes, room);
    while ((rc = jbi_query_next(&q, &name, &value)) > 0) {
        if (jbi_slice_is(name, "after") && !jbi_jwalk_u64(value, &p->after))
            return "after is the id of a topic";
        if (jbi_slice_is(name, "limit") &&
            (!jbi_jwalk_u64(value, &p->n_max) || p->n_max < 1 || p->n_max > PAGE_TOPICS_MAX))
            return "limit is 1 to 1000";
    }
    return rc < 0 ? "a percent sign in the query stands before two hexadecimal digits" : NULL;
}

/* The next id from there on that is a topic's, 0 when there is none: ids have gaps. */
static uint32_t next_topic(jbi_service *s, uint64_t id, const char **ret_name)
{
    for (; id < s->counters.n_topic_slots; id++) {
        if (jb_bus_topic_name(s->bus, (uint32_t)id, ret_name) >= 0)
            return (uint32_t)id;
    }
    return 0;
}

static void add_topics(jbi_service *s, const page *p, jbi_htext *out)
{
    const char *name;
    uint64_t after = p->after < UINT32_MAX ? p->after : UINT32_MAX;
    uint32_t id = next_topic(s, after + 1, &name);

    jbi_htext_str(out, "{\"status\":\"ok\",\"topics\":[");
    for (uint64_t i = 0; i < p->n_max && id; i++) {
        jbi_htext_str(out, i ? ",{\"id\":" : "{\"id\":");
        jbi_htext_u64(out, id);
        jbi_htext_str(out, ",\"name\":");
        jbi_htext_ascii(out, name);
        jbi_htext_str(out, "}");
        after = id;
        id = next_topic(s, after + 1, &name);
    }
    jbi_htext_str(out, "]");
    if (id) {
        jbi_htext_str(out, ",\"next\":");
        jbi_htext_u64(out, after);
    }
    jbi_htext_str(out, "}\n");
}

void jbi_service_topics(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    char *room = jbi_hmem_alloc(s->alloc, call->query_bytes + 1);
    const char *problem;
    page p;

    problem = room ? read_page(call, room, &p) : "no memory for the query";
    jbi_hmem_free(s->alloc, room, call->query_bytes + 1);
    if (problem) {
        jbi_answer_error(answer, 400, problem);
        return;
    }
    add_topics(s, &p, answer->body);
}

static void number(jbi_htext *out, const char *name, uint64_t value)
{
    jbi_htext_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void client(const jbi_feed *f, jbi_htext *out)
{
    jb_sub_stats sub = {.size = sizeof(sub)};

    jb_sub_get_stats(f->sub, &sub);
    jbi_htext_str(out, "{\"name\":");
    jbi_htext_ascii(out, f->name);
    jbi_htext_printf(out, ",\"via\":\"%s\",\"pattern\":", f->via);
    jbi_htext_ascii(out, f->pattern);
    jbi_htext_printf(out, ",\"policy\":\"%s\"", jbi_htext_policy(f->policy));
    number(out, "slot", sub.idx);
    number(out, "delivered", f->n_delivered);
    number(out, "missed", f->n_missed);
    number(out, "bytes", f->n_bytes);
    number(out, "next_sequence", sub.next_sequence);
    number(out, "lag_events", sub.lag_events);
    jbi_htext_str(out, "}");
}

void jbi_service_subscriptions(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    jbi_htext *out = answer->body;

    jbi_htext_str(out, "{\"status\":\"ok\"");
    jbi_figures_subscriptions(s, out);
    jbi_htext_str(out, ",\"clients\":[");
    for (const jbi_feed *f = s->feeds; f; f = f->next) {
        client(f, out);
        if (f->next)
            jbi_htext_str(out, ",");
    }
    jbi_htext_str(out, "]}\n");
}
