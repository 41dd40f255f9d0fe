/*
 * metrics: the figures of host and bus as Prometheus text.
 *
 * Invariant: valid for `promtool check metrics`; how many lines there are is bounded by
 * JBI_COUNTERS_TOPICS and the bus's max_subs, never by what clients send.
 */
#include "host/host.h"
#include "host/service/service.h"

#include <stdio.h>

static void head(jbi_htext *out, const char *name, const char *type, const char *help)
{
    jbi_htext_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(jbi_htext *out, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(out, name, type, help);
    jbi_htext_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

/* A label's value: quotes, backslashes and line ends escaped, what is not ASCII text replaced. */
static void label(jbi_htext *out, const char *s)
{
    jbi_htext_str(out, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            jbi_htext_add(out, (char[2]){'\\', *s}, 2);
        else
            jbi_htext_add(out, *s >= 0x20 && *s < 0x7f ? s : "?", 1);
    }
    jbi_htext_str(out, "\"");
}

static void published(jbi_service *s, jbi_htext *out)
{
    const jbi_counters *c = &s->counters;
    const char *name = "jimbot_events_published_total";

    head(out, name, "counter", "Distinct events published through this host, by topic.");
    for (uint32_t i = 1; i <= c->n_topics; i++) {
        const char *topic = "unknown";

        jb_bus_topic_name(s->bus, c->topic_ids[i], &topic);
        jbi_htext_printf(out, "%s{topic=", name);
        label(out, topic);
        jbi_htext_printf(out, "} %llu\n", (unsigned long long)c->n_published[i]);
    }
    jbi_htext_printf(out, "%s{topic=\"other\"} %llu\n", name,
                     (unsigned long long)c->n_published[0]);
}

static void events(jbi_service *s, jbi_htext *out)
{
    const jbi_counters *c = &s->counters;
    const char *name = "jimbot_events_rejected_total";

    published(s, out);
    one(out, "jimbot_events_duplicate_total", "counter",
        "Events left out because their event_id was published before.", c->n_duplicates);
    head(out, name, "counter", "Bodies and events refused, by reason.");
    for (unsigned i = 0; i < JBI_REJECT_N; i++)
        jbi_htext_printf(out, "%s{reason=\"%s\"} %llu\n", name, jbi_counters_reason(i),
                         (unsigned long long)c->n_rejected[i]);
    one(out, "jimbot_events_repairs_total", "counter", "Lenient repairs made in published events.",
        c->n_repairs);
    one(out, "jimbot_events_overflow_total", "counter",
        "Events published on custom.overflow because no topic was left.", c->n_overflow);
}

static void commands(jbi_service *s, jbi_htext *out)
{
    one(out, "jimbot_commands_accepted_total", "counter", "Commands accepted over HTTP.",
        s->counters.n_commands);
    one(out, "jimbot_commands_received_total", "counter",
        "Commands that reached the queue, from any publisher.", s->queue.n_pushed);
    one(out, "jimbot_commands_polled_total", "counter", "Commands handed to a poll.",
        s->queue.n_popped);
    one(out, "jimbot_commands_dropped_total", "counter",
        "Commands dropped because the queue was full.", s->queue.n_dropped);
    one(out, "jimbot_commands_missed_total", "counter",
        "Events that overtook the command subscription.", s->n_commands_missed);
    one(out, "jimbot_commands_queued", "gauge", "Commands waiting for a poll.", s->queue.n);
}

static void tls(const jbi_counters *c, jbi_htext *out)
{
    static const char *const reasons[JBI_TLS_ERROR_N] = {"handshake", "plain_http", "session"};
    const char *name = "jimbot_tls_errors_total";

    one(out, "jimbot_tls_handshakes_total", "counter", "TLS sessions made.", c->n_handshakes);
    head(out, name, "counter", "Connections ended because of what came for TLS, by reason.");
    for (unsigned i = 0; i < JBI_TLS_ERROR_N; i++)
        jbi_htext_printf(out, "%s{reason=\"%s\"} %llu\n", name, reasons[i],
                         (unsigned long long)c->n_tls_errors[i]);
}

static void refusals(const jbi_counters *c, jbi_htext *out)
{
    static const char *const reasons[JBI_GATE_VERDICTS] = {"",     "token",  "scope",
                                                           "host", "origin", "rate"};
    const char *name = "jimbot_access_refused_total";

    head(out, name, "counter", "Requests refused before their handler, by reason.");
    for (unsigned i = 1; i < JBI_GATE_VERDICTS; i++)
        jbi_htext_printf(out, "%s{reason=\"%s\"} %llu\n", name, reasons[i],
                         (unsigned long long)c->n_access_refused[i]);
}

static void refused(const jbi_counters *c, jbi_htext *out)
{
    static const char *const reasons[JBI_REFUSED_N] = {"all", "client", "files"};
    const char *name = "jimbot_http_connections_refused_total";

    head(out, name, "counter",
         "Connections closed at once because too many were open, by whose limit.");
    for (unsigned i = 0; i < JBI_REFUSED_N; i++)
        jbi_htext_printf(out, "%s{limit=\"%s\"} %llu\n", name, reasons[i],
                         (unsigned long long)c->n_refused[i]);
}

static void http(jbi_service *s, jbi_htext *out)
{
    const jbi_counters *c = &s->counters;

    head(out, "jimbot_http_requests_total", "counter", "Requests answered, by status.");
    for (unsigned code = 100; code < 600; code++) {
        if (c->n_answers[code])
            jbi_htext_printf(out, "jimbot_http_requests_total{code=\"%u\"} %llu\n", code,
                             (unsigned long long)c->n_answers[code]);
    }
    head(out, "jimbot_grpc_calls_total", "counter", "Calls of gRPC ended, by status.");
    for (uint32_t code = 0; code < sizeof(c->n_grpc) / sizeof(c->n_grpc[0]); code++) {
        if (c->n_grpc[code])
            jbi_htext_printf(out, "jimbot_grpc_calls_total{code=\"%s\"} %llu\n",
                             jbi_counters_grpc_code(code), (unsigned long long)c->n_grpc[code]);
    }
    one(out, "jimbot_http_connections_accepted_total", "counter", "Connections accepted.",
        c->n_connections);
    refused(c, out);
    one(out, "jimbot_http_timeouts_total", "counter", "Connections ended by a timeout.",
        c->n_timeouts);
    one(out, "jimbot_http_received_bytes_total", "counter", "Bytes received.", c->n_in_bytes);
    one(out, "jimbot_http_sent_bytes_total", "counter", "Bytes sent.", c->n_out_bytes);
    one(out, "jimbot_websocket_received_messages_total", "counter",
        "Messages received over WebSockets.", c->n_ws_in);
    one(out, "jimbot_websocket_sent_messages_total", "counter", "Messages sent over WebSockets.",
        c->n_ws_out);
    one(out, "jimbot_http_connections", "gauge", "Connections open now.", c->n_open);
    one(out, "jimbot_http_buffered_bytes", "gauge", "Bytes of bodies being received.",
        c->n_buffered);
}

/* How long handlers and turns of the loop take. Paths nobody asked for are left out. */
static void times(jb_host *host, jbi_htext *out)
{
    const char *name = "jimbot_http_handler_seconds";
    const jbi_route *route;

    head(out, name, "histogram", "Time inside the handler of a path, sockets left out.");
    for (uint32_t i = 0; (route = jbi_router_served(host, i)); i++) {
        const jbi_histogram *h = jbi_router_times(host, route);
        char labels[128];

        if (h->sum_ns == 0)
            continue;
        snprintf(labels, sizeof(labels), "method=\"%s\",path=\"%s\"", route->method, route->path);
        jbi_histogram_write(h, name, labels, out);
    }
    name = "jimbot_loop_turn_seconds";
    head(out, name, "histogram",
         "Time from a turn's first event to its end: how long others may have to wait.");
    jbi_histogram_write(&host->service.counters.turns, name, "", out);
}

static void bus(jbi_service *s, jbi_htext *out)
{
    jb_bus_stats b = {.size = sizeof(b)};

    if (jb_bus_get_stats(s->bus, &b) < 0)
        return;
    one(out, "jimbot_bus_events_published_total", "counter", "Events committed by all peers.",
        b.n_published);
    one(out, "jimbot_bus_payload_bytes_total", "counter", "Payload bytes committed by all peers.",
        b.n_bytes);
    one(out, "jimbot_bus_claims_aborted_total", "counter", "Claims that became nothing.",
        b.n_aborted);
    one(out, "jimbot_bus_full_total", "counter", "Times a publisher found the bus full.", b.n_full);
    one(out, "jimbot_bus_capacity_bytes", "gauge", "Size of the ring.", b.capacity_bytes);
    one(out, "jimbot_bus_used_bytes", "gauge", "Bytes of the ring in use.", b.used_bytes);
    one(out, "jimbot_bus_peers", "gauge", "Handles open on the bus.", b.n_peers);
    one(out, "jimbot_bus_subscriptions", "gauge", "Subscriptions open on the bus.", b.n_subs);
    one(out, "jimbot_bus_topics", "gauge", "Topics interned.", b.n_topics);
    one(out, "jimbot_bus_topics_max", "gauge", "Topics the bus has room for.", b.max_topics);
}

static uint64_t sub_value(const jb_sub_stats *sub, int which)
{
    return which == 0   ? sub->n_delivered
           : which == 1 ? sub->n_filtered
           : which == 2 ? sub->n_missed
                        : sub->lag_bytes;
}

static void subscriptions(jbi_service *s, jbi_htext *out)
{
    static const char *const names[4][3] = {
        {"jimbot_subscriber_delivered_total", "counter", "Events a subscription took."},
        {"jimbot_subscriber_filtered_total", "counter", "Events it did not ask for."},
        {"jimbot_subscriber_missed_total", "counter", "Events overwritten before it came to them."},
        {"jimbot_subscriber_lag_bytes", "gauge", "How far it is behind the newest event."}};
    jb_sub_stats sub = {.size = sizeof(sub)};

    for (int which = 0; which < 4; which++) {
        head(out, names[which][0], names[which][1], names[which][2]);
        for (uint32_t i = 0;; i++) {
            int rc = jb_bus_sub_stats(s->bus, i, &sub);

            if (rc == JB_ENOENT)
                continue;
            if (rc < 0)
                break;
            jbi_htext_printf(out, "%s{slot=\"%u\",policy=\"%s\",name=", names[which][0], i,
                             jbi_htext_policy(sub.policy));
            label(out, sub.name);
            jbi_htext_str(out, ",pattern=");
            label(out, sub.pattern);
            jbi_htext_printf(out, "} %llu\n", (unsigned long long)sub_value(&sub, which));
        }
    }
}

static uint64_t feed_value(const jbi_feed *f, int which)
{
    return which == 0 ? f->n_delivered : which == 1 ? f->n_missed : f->n_bytes;
}

/* Those who read over the network; `slot` joins them to the subscriptions of the bus. */
static void feeds(const jbi_service *s, jbi_htext *out)
{
    static const char *const names[3][2] = {
        {"jimbot_client_sent_events_total", "Events sent to a client that reads."},
        {"jimbot_client_missed_events_total", "Events it was told that it missed."},
        {"jimbot_client_sent_bytes_total", "What its events became on the wire."}};
    jb_sub_stats sub = {.size = sizeof(sub)};

    for (int which = 0; which < 3; which++) {
        head(out, names[which][0], "counter", names[which][1]);
        for (const jbi_feed *f = s->feeds; f; f = f->next) {
            jb_sub_get_stats(f->sub, &sub);
            jbi_htext_printf(out, "%s{slot=\"%u\",via=\"%s\",name=", names[which][0], sub.idx,
                             f->via);
            label(out, f->name);
            jbi_htext_printf(out, "} %llu\n", (unsigned long long)feed_value(f, which));
        }
    }
}

void jbi_service_metrics(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    jbi_htext *out = answer->body;

    jbi_service_drain_commands(s);
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    head(out, "jimbot_build_info", "gauge", "Version of the library, always 1.");
    jbi_htext_printf(out, "jimbot_build_info{version=\"%s\"} 1\n", jb_version_string());
    one(out, "jimbot_uptime_seconds", "gauge", "Seconds since the host was created.",
        (jb_clock_now_ns() - s->start_ns) / 1000000000u);
    if (!s->opts->no_bus) {
        events(s, out);
        commands(s, out);
    }
    http(s, out);
    times(call->host, out);
    one(out, "jimbot_log_lines_left_out_total", "counter",
        "Log lines left out because too many came at once.", s->log.n_left_out);
    tls(&s->counters, out);
    refusals(&s->counters, out);
    if (!s->opts->no_bus) {
        bus(s, out);
        subscriptions(s, out);
        feeds(s, out);
    }
    jbi_added_metrics(&call->host->added, out);
}
