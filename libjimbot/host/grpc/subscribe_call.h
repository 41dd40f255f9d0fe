/*
 * subscribe_call: Subscribe of jimbot.v1.EventBus.
 *
 * Invariant: an event is taken off the subscription only when the window of the client has room for
 * it; so a client that does not read stops there, and its policy does the rest.
 */
#ifndef JBI_HOST_SUBSCRIBE_CALL_H
#define JBI_HOST_SUBSCRIBE_CALL_H

#include "host/grpc/grpc.h"

bool jbi_grpc_subscribe(jbi_grpc_call *call, jbi_slice message);
void jbi_grpc_subscribe_fill(jbi_grpc_call *call);
void jbi_grpc_subscribe_tick(jbi_grpc_call *call);
void jbi_grpc_subscribe_close(jbi_grpc_call *call);

#endif
