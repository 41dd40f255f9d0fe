/*
 * figures: the figures of host and bus as one JSON object, for people and scripts without
 * Prometheus.
 *
 * Invariant: says the same as /metrics at the same moment.
 */
#include "host/service/service.h"

#include <string.h>

static void member(jbi_htext *out, const char *name, uint64_t value)
{
    if (out->len && out->data[out->len - 1] != '{')
        jbi_htext_str(out, ",");
    jbi_htext_printf(out, "\"%s\":%llu", name, (unsigned long long)value);
}

static void events(const jbi_service *s, jbi_htext *out)
{
    const jbi_counters *c = &s->counters;
    uint64_t n_rejected = 0;

    for (unsigned i = 0; i < JBI_REJECT_N; i++)
        n_rejected += c->n_rejected[i];
    jbi_htext_str(out, ",\"events\":{");
    member(out, "published", jbi_counters_published(c));
    member(out, "duplicates", c->n_duplicates);
    member(out, "rejected", n_rejected);
    member(out, "repairs", c->n_repairs);
    member(out, "overflow", c->n_overflow);
    jbi_htext_str(out, "}");
}

static void commands(const jbi_service *s, jbi_htext *out)
{
    jbi_htext_str(out, ",\"commands\":{");
    member(out, "accepted", s->counters.n_commands);
    member(out, "received", s->queue.n_pushed);
    member(out, "polled", s->queue.n_popped);
    member(out, "dropped", s->queue.n_dropped);
    member(out, "missed", s->n_commands_missed);
    member(out, "queued", s->queue.n);
    jbi_htext_str(out, "}");
}

static void http(const jbi_service *s, jbi_htext *out)
{
    const jbi_counters *c = &s->counters;
    uint64_t n_answers = 0;

    for (int i = 0; i < 600; i++)
        n_answers += c->n_answers[i];
    jbi_htext_str(out, ",\"http\":{");
    member(out, "requests", n_answers);
    member(out, "connections", c->n_open);
    member(out, "accepted_connections", c->n_connections);
    member(out, "refused_connections", jbi_counters_refused(c));
    member(out, "timeouts", c->n_timeouts);
    member(out, "received_bytes", c->n_in_bytes);
    member(out, "sent_bytes", c->n_out_bytes);
    jbi_htext_str(out, "}");
}

static void bus(jbi_service *s, jbi_htext *out)
{
    jb_bus_stats b = {.size = sizeof(b)};

    if (jb_bus_get_stats(s->bus, &b) < 0)
        return;
    jbi_htext_str(out, ",\"bus\":{");
    member(out, "published", b.n_published);
    member(out, "payload_bytes", b.n_bytes);
    member(out, "aborted", b.n_aborted);
    member(out, "full", b.n_full);
    member(out, "capacity_bytes", b.capacity_bytes);
    member(out, "used_bytes", b.used_bytes);
    member(out, "peers", b.n_peers);
    member(out, "subscriptions", b.n_subs);
    member(out, "topics", b.n_topics);
    jbi_htext_str(out, "}");
}

/* A name another process put into shared memory: what is not ASCII is replaced, or the page might
 * not be UTF-8. */
static void name(jbi_htext *out, char *bytes, size_t cap)
{
    size_t n = strnlen(bytes, cap);

    for (size_t i = 0; i < n; i++)
        bytes[i] = (unsigned char)bytes[i] < 0x80 ? bytes[i] : '?';
    jbi_htext_json(out, bytes, n);
}

void jbi_figures_subscriptions(jbi_service *s, jbi_htext *out)
{
    jb_sub_stats sub = {.size = sizeof(sub)};
    const char *before = "{";
    int rc;

    jbi_htext_str(out, ",\"subscriptions\":[");
    for (uint32_t i = 0; (rc = jb_bus_sub_stats(s->bus, i, &sub)) != JB_ELIMIT; i++) {
        if (rc == JB_ENOENT)
            continue;
        if (rc < 0)
            break;
        jbi_htext_str(out, before);
        before = ",{";
        member(out, "slot", i);
        jbi_htext_str(out, ",\"name\":");
        name(out, sub.name, sizeof(sub.name));
        jbi_htext_str(out, ",\"pattern\":");
        name(out, sub.pattern, sizeof(sub.pattern));
        jbi_htext_printf(out, ",\"policy\":\"%s\"", jbi_htext_policy(sub.policy));
        member(out, "delivered", sub.n_delivered);
        member(out, "filtered", sub.n_filtered);
        member(out, "missed", sub.n_missed);
        member(out, "lag_bytes", sub.lag_bytes);
        jbi_htext_str(out, "}");
    }
    jbi_htext_str(out, "]");
}

void jbi_service_stats(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    jbi_htext *out = answer->body;

    jbi_service_drain_commands(s);
    jbi_htext_str(out, "{\"status\":\"ok\",\"version\":");
    jbi_htext_json(out, jb_version_string(), strlen(jb_version_string()));
    jbi_htext_str(out, ",\"uptime_s\":");
    jbi_htext_u64(out, (jb_clock_now_ns() - s->start_ns) / 1000000000u);
    events(s, out);
    commands(s, out);
    http(s, out);
    bus(s, out);
    jbi_figures_subscriptions(s, out);
    jbi_htext_str(out, "}\n");
}
