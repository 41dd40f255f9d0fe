/*
 * methods: which methods there are.
 *
 * Invariant: the table here is the only list of the host's own, a program's come after it;
 * reflection, health and the look-up read both.
 */
#include "host/added/grpc_calls.h"
#include "host/grpc/health_calls.h"
#include "host/grpc/publish_calls.h"
#include "host/grpc/reflection_call.h"
#include "host/grpc/session_call.h"
#include "host/grpc/subscribe_call.h"
#include "host/grpc/topics_call.h"
#include "host/host.h"

/* clang-format off */
static const jbi_grpc_method methods[] = {
    {.path = "/jimbot.v1.EventBus/Publish", .scope = JBI_SCOPE_PUBLISH, .is_unary = true,
     .message = jbi_grpc_publish, .close = jbi_grpc_publish_close},
    {.path = "/jimbot.v1.EventBus/PublishStream", .scope = JBI_SCOPE_PUBLISH,
     .message = jbi_grpc_publish_stream, .end = jbi_grpc_publish_stream_end,
     .close = jbi_grpc_publish_close},
    {.path = "/jimbot.v1.EventBus/PublishMany", .scope = JBI_SCOPE_PUBLISH,
     .message = jbi_grpc_publish_many, .end = jbi_grpc_publish_many_end,
     .close = jbi_grpc_publish_close},
    {.path = "/jimbot.v1.EventBus/Subscribe", .scope = JBI_SCOPE_SUBSCRIBE,
     .is_unary = true, .is_endless = true,
     .message = jbi_grpc_subscribe, .fill = jbi_grpc_subscribe_fill,
     .tick = jbi_grpc_subscribe_tick,
     .close = jbi_grpc_subscribe_close},
    {.path = "/jimbot.v1.EventBus/Session", .is_session = true, .is_endless = true,
     .message = jbi_grpc_session, .end = jbi_grpc_session_end, .fill = jbi_grpc_session_fill,
     .close = jbi_grpc_session_close},
    {.path = "/jimbot.v1.EventBus/ListTopics", .scope = JBI_SCOPE_SUBSCRIBE, .is_unary = true,
     .message = jbi_grpc_list_topics},
    {.path = "/grpc.health.v1.Health/Check", .is_unary = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_health_check},
    {.path = "/grpc.health.v1.Health/Watch", .is_unary = true, .is_endless = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_health_watch, .tick = jbi_grpc_health_watch_tick,
     .close = jbi_grpc_health_watch_close},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .is_endless = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_reflection, .end = jbi_grpc_reflection_end},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", .is_endless = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_reflection, .end = jbi_grpc_reflection_end},
};
/* clang-format on */

enum { N_METHODS = sizeof(methods) / sizeof(methods[0]) };

/* Those of the bus stand first, and are none without a bus. */
static uint32_t first_of(const jb_host *host)
{
    static const char bus[] = "/jimbot.v1.EventBus/";
    uint32_t i = 0;

    while (host->opts.no_bus && i < N_METHODS && !strncmp(methods[i].path, bus, sizeof(bus) - 1))
        i++;
    return i;
}

const jbi_grpc_method *jbi_grpc_method_at(const jb_host *host, uint32_t idx)
{
    idx += first_of(host);
    return idx < N_METHODS ? &methods[idx] : jbi_added_method_at(&host->added, idx - N_METHODS);
}

const jbi_grpc_method *jbi_grpc_find(const jb_host *host, const char *path, size_t n)
{
    const jbi_grpc_method *m;

    for (uint32_t i = 0; (m = jbi_grpc_method_at(host, i)); i++) {
        if (strlen(m->path) == n && !memcmp(m->path, path, n))
            return m;
    }
    return NULL;
}
