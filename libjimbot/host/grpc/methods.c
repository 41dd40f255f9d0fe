/*
 * methods: which methods there are.
 *
 * Invariant: the table here is the only list of them; reflection, health and the look-up read it.
 */
#include "host/grpc/health_calls.h"
#include "host/grpc/publish_calls.h"
#include "host/grpc/reflection_call.h"
#include "host/grpc/session_call.h"
#include "host/grpc/subscribe_call.h"
#include "host/grpc/topics_call.h"

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
     .message = jbi_grpc_health_watch},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", .is_endless = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_reflection, .end = jbi_grpc_reflection_end},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", .is_endless = true,
     .max_bytes = JBI_GRPC_SMALL_BYTES,
     .message = jbi_grpc_reflection, .end = jbi_grpc_reflection_end},
};
/* clang-format on */

enum { N_METHODS = sizeof(methods) / sizeof(methods[0]) };

const jbi_grpc_method *jbi_grpc_method_at(uint32_t idx)
{
    return idx < N_METHODS ? &methods[idx] : NULL;
}

const jbi_grpc_method *jbi_grpc_find(const char *path, size_t n)
{
    for (uint32_t i = 0; i < N_METHODS; i++) {
        if (strlen(methods[i].path) == n && !memcmp(methods[i].path, path, n))
            return &methods[i];
    }
    return NULL;
}
