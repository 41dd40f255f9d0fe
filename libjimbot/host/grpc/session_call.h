/*
 * session_call: Session of jimbot.v1.EventBus: the same session that a WebSocket carries, a message
 * of the call for each of its messages.
 *
 * Invariant: deliveries are made only when the client's window has room, and requests are read only
 * while it reads the answers.
 */
#ifndef JBI_HOST_SESSION_CALL_H
#define JBI_HOST_SESSION_CALL_H

#include "host/grpc/grpc.h"

bool jbi_grpc_session(jbi_grpc_call *call, jbi_slice message);
void jbi_grpc_session_end(jbi_grpc_call *call);
void jbi_grpc_session_fill(jbi_grpc_call *call);
void jbi_grpc_session_close(jbi_grpc_call *call);

#endif
