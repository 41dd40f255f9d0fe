/*
 * service: set-up, commands between bus and queue, health; see service.h. The other handlers live
 * in ingest.c, orders.c, metrics.c and figures.c.
 */
#include "host/service/service.h"

#include "host/host.h"
#include "host/service/render.h"
#include "host/text/hmem.h"

#include <stdio.h>

/* Peeks of one drain: the loop's other clients wait no longer than for this many. */
enum { DRAIN_ROUNDS = 64, DRAIN_EVENTS = 64 };

/* What the size of the bus decides: the largest event, and room to count its topics. */
static int fit_to_bus(jbi_service *s, jb_error *err)
{
    jb_bus_stats stats = {.size = sizeof(stats)};
    jb_encoder_opts opts;
    int rc = jb_bus_get_stats(s->bus, &stats);

    if (rc < 0)
        return rc;
    s->utc_offset_ns = stats.utc_offset_ns;
    s->counters.n_topic_slots = stats.max_topics + 1;
    s->counters.topic_slots =
        jbi_hmem_zalloc(s->alloc, s->counters.n_topic_slots * sizeof(*s->counters.topic_slots));
    if (!s->counters.topic_slots)
        return JB_ENOMEM;
    jb_encoder_opts_init(&opts, sizeof(opts));
    opts.alloc = s->alloc;
    /* Refuse while reading what the ring would refuse later: half a KiB covers a record's header.
     * */
    if (stats.capacity_bytes / 4 - 512 < opts.max_event_bytes)
        opts.max_event_bytes = (uint32_t)(stats.capacity_bytes / 4 - 512);
    s->max_event_bytes = opts.max_event_bytes;
    return jb_encoder_create(&opts, &s->encoder, err);
}

jb_encoder *jbi_service_encoder(jbi_service *s, uint32_t dialect)
{
    const uint32_t n = JBI_SERVICE_OTHER_ENCODERS;
    jb_encoder_opts opts;

    if (dialect == JB_DIALECT_BALATROMCP)
        return s->encoder;
    if (dialect >= n)
        return NULL;
    if (s->other_encoders[dialect])
        return s->other_encoders[dialect];
    jb_encoder_opts_init(&opts, sizeof(opts));
    opts.alloc = s->alloc;
    opts.max_event_bytes = s->max_event_bytes;
    opts.dialect = dialect;
    jb_encoder_create(&opts, &s->other_encoders[dialect], NULL);
    return s->other_encoders[dialect];
}

uint32_t jbi_service_type(jbi_slice name)
{
    const char *prefix = "EVENT_TYPE_";

    if (name.len > strlen(prefix) && !memcmp(name.data, prefix, strlen(prefix)))
        name = (jbi_slice){name.data + strlen(prefix), name.len - strlen(prefix)};
    for (uint32_t i = 1; i < JBI_FEED_TYPES; i++) {
        const char *known = jb_event_type_name(i);

        if (known && jbi_slice_is(name, known))
            return i;
    }
    return 0;
}

static int subscribe_commands(jbi_service *s, jb_error *err)
{
    jb_sub_opts opts;

    jb_sub_opts_init(&opts, sizeof(opts));
    opts.policy = JB_SUB_LATEST;
    opts.name = "http-commands";
    return jb_bus_subscribe(s->bus, "command.>", strlen("command.>"), &opts, &s->commands, err);
}

/* The topics that must exist when no others can be made any more. */
static int intern_reserved(jbi_service *s)
{
    int rc = jb_bus_topic(s->bus, "custom.overflow", strlen("custom.overflow"), &s->overflow_topic);

    if (rc < 0)
        return rc;
    return jb_bus_topic(s->bus, "command.overflow", strlen("command.overflow"),
                        &s->command_overflow_topic);
}

int jbi_service_init(jbi_service *s, const jb_host_opts *opts, jb_bus *bus, const jb_alloc *alloc,
                     jb_error *err)
{
    int rc;

    memset(s, 0, sizeof(*s));
    s->alloc = alloc;
    s->opts = opts;
    s->bus = bus;
    s->start_ns = jb_clock_now_ns();
    jbi_htext_init(&s->text, alloc);
    jbi_htext_init(&s->unpacked, alloc);
    jbi_publish_init(&s->publish, alloc);
    rc = jbi_dedupe_init(&s->dedupe, opts->dedupe_window, alloc);
    s->resume.key = s->dedupe.key;
    if (rc == 0)
        rc = jbi_cmdq_init(&s->queue, opts->command_queue, alloc);
    if (rc == 0)
        rc = fit_to_bus(s, err);
    if (rc == 0)
        rc = intern_reserved(s);
    if (rc == 0)
        rc = subscribe_commands(s, err);
    if (rc < 0)
        jbi_service_fini(s);
    return rc;
}

void jbi_service_leave_bus(jbi_service *s)
{
    jb_sub_close(s->commands);
    s->commands = NULL;
}

void jbi_service_fini(jbi_service *s)
{
    jbi_service_leave_bus(s);
    jb_encoder_destroy(s->encoder);
    for (size_t i = 0; i < JBI_SERVICE_OTHER_ENCODERS; i++)
        jb_encoder_destroy(s->other_encoders[i]);
    jbi_render_fini(s);
    jbi_publish_fini(&s->publish);
    if (s->dedupe.alloc)
        jbi_dedupe_fini(&s->dedupe);
    if (s->queue.alloc)
        jbi_cmdq_fini(&s->queue);
    jbi_htext_fini(&s->text);
    jbi_htext_fini(&s->unpacked);
    jbi_hmem_free(s->alloc, s->counters.topic_slots,
                  s->counters.n_topic_slots * sizeof(*s->counters.topic_slots));
    s->encoder = NULL;
    s->counters.topic_slots = NULL;
}

static void take_command(jbi_service *s, const jb_event *event)
{
    jb_command command;
    int rc;

    if (event->n_missed) {
        s->n_commands_missed += event->n_missed;
        jbi_service_log(s, JB_LOG_WARN,
                        "the bus overtook the command queue by %llu events, commands may be lost",
                        (unsigned long long)event->n_missed);
    }
    rc = jb_command_decode(event->payload, event->len_bytes, &command);
    if (rc < 0) {
        jbi_service_log(s, JB_LOG_WARN, "event %llu on a command topic is no command: %s",
                        (unsigned long long)event->sequence, jb_strerror(rc));
        return;
    }
    /* Every thousandth is told, or a game that never polls fills the log. */
    if (jbi_cmdq_push(&s->queue, &command) && s->queue.n_dropped % 1000 == 1)
        jbi_service_log(s, JB_LOG_WARN,
                        "nobody polls commands: the oldest of %u was dropped (%llu so far)",
                        s->queue.n_max, (unsigned long long)s->queue.n_dropped);
}

void jbi_service_drain_commands(jbi_service *s)
{
    jb_event events[DRAIN_EVENTS];

    for (int round = 0; !s->is_bus_broken && round < DRAIN_ROUNDS; round++) {
        int n = jb_sub_peek(s->commands, events, DRAIN_EVENTS);

        if (n == 0)
            return;
        if (n < 0) {
            jbi_service_log(s, JB_LOG_ERROR, "commands can no longer be read from the bus: %s",
                            jb_strerror(n));
            s->is_bus_broken = true;
            return;
        }
        for (int i = 0; i < n; i++)
            take_command(s, &events[i]);
        jb_sub_advance(s->commands);
    }
}

static void answer_alive(jbi_service *s, jbi_answer *answer)
{
    jbi_htext_str(answer->body, "{\"status\":\"ok\",\"version\":");
    jbi_htext_json(answer->body, jb_version_string(), strlen(jb_version_string()));
    jbi_htext_str(answer->body, ",\"uptime_s\":");
    jbi_htext_u64(answer->body, (jb_clock_now_ns() - s->start_ns) / 1000000000u);
    jbi_htext_str(answer->body, "}\n");
}

void jbi_service_health(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    if (s->is_bus_broken)
        jbi_answer_error(answer, 503, "the bus is broken");
    else
        answer_alive(s, answer);
}

void jbi_service_ready(jbi_service *s, const jbi_call *call, jbi_answer *answer)
{
    const char *problem = s->is_draining     ? "the host is stopping"
                          : s->is_bus_broken ? "the bus is broken"
                                             : jbi_added_problem(&call->host->added);

    if (!problem) {
        answer_alive(s, answer);
        return;
    }
    jbi_answer_error(answer, 503, problem);
    answer->retry_after_s = 1;
}
