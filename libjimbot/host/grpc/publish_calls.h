/*
 * publish_calls: Publish, PublishStream and PublishMany of jimbot.v1.EventBus.
 *
 * Invariant: an event is told to be on the bus only when it is; of a message that waits for room,
 * the events before the first without are on the bus once, however often it is taken again.
 */
#ifndef JBI_HOST_PUBLISH_CALLS_H
#define JBI_HOST_PUBLISH_CALLS_H

#include "host/grpc/grpc.h"

bool jbi_grpc_publish(jbi_grpc_call *call, jbi_slice message);
bool jbi_grpc_publish_stream(jbi_grpc_call *call, jbi_slice message);
bool jbi_grpc_publish_many(jbi_grpc_call *call, jbi_slice message);
void jbi_grpc_publish_stream_end(jbi_grpc_call *call);
void jbi_grpc_publish_many_end(jbi_grpc_call *call);

/* Of all three. */
void jbi_grpc_publish_close(jbi_grpc_call *call);

#endif
