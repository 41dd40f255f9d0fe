/*
 * topics_call: ListTopics of jimbot.v1.EventBus.
 *
 * Invariant: topics come in the order of their numbers, each once, however many pages; a page token
 * is the number of the last topic looked at.
 */
#include "host/grpc/topics_call.h"

#include "host/host.h"
#include "topic/pattern.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAGE_DEFAULT = 100, PAGE_MAX = 1000, TOKEN_BYTES = 12 };

/* The number in a page token; false when it is none of ours. */
static bool read_token(jbi_slice token, uint32_t *ret)
{
    uint64_t value = 0;

    if (token.len >= TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < token.len; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(token.data[i] - '0');
    }
    *ret = (uint32_t)value;
    return value < UINT32_MAX;
}

/* Append a page. Returns the number of the last topic looked at, 0 when it was the last of all. */
static uint32_t write_page(jb_bus *bus, jbi_slice pattern, uint32_t after, uint64_t n_max,
                           jbi_htext *out)
{
    jb_bus_stats stats = {.size = sizeof(stats)};
    const char *name;

    if (jb_bus_get_stats(bus, &stats) < 0)
        return 0;
    for (uint32_t id = after + 1; id <= stats.max_topics; id++) {
        int n = jb_bus_topic_name(bus, id, &name);

        if (n < 0)
            continue;
        if (pattern.data && !jbi_topic_matches(pattern.data, pattern.len, name, (size_t)n))
            continue;
        if (n_max-- == 0)
            return id - 1;
        jbi_msg_put_bytes(out, 1, (jbi_slice){name, (size_t)n});
    }
    return 0;
}

bool jbi_grpc_list_topics(jbi_grpc_call *call, jbi_slice message)
{
    jbi_slice pattern = jbi_msg_bytes(message, 1);
    uint64_t page = jbi_msg_value(message, 2, PAGE_DEFAULT);
    jbi_htext *out = &call->stream->out;
    char token[TOKEN_BYTES];
    uint32_t after = 0;
    size_t mark;

    if (pattern.data && !jbi_topic_is_pattern(pattern.data, pattern.len)) {
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT, "the pattern is none");
        return true;
    }
    if (page < 1 || page > PAGE_MAX || !read_token(jbi_msg_bytes(message, 3), &after)) {
        jbi_grpc_finish(call, JBI_GRPC_INVALID_ARGUMENT,
                        "page_size is 1 to %d, and page_token one that was given", PAGE_MAX);
        return true;
    }
    mark = jbi_grpc_begin(call);
    after = write_page(jbi_grpc_host(call)->service.bus, pattern, after, page, out);
    if (after) {
        snprintf(token, sizeof(token), "%u", after);
        jbi_msg_put_text(out, 2, token);
    }
    jbi_grpc_end(call, mark);
    jbi_grpc_done(call);
    return true;
}
