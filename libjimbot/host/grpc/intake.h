/*
 * intake: the messages of a call as they come in, from bytes to its method.
 *
 * Invariant: messages are taken in their order, each once; the window of the stream is reopened by
 * as many bytes as came in, never by more.
 */
#ifndef JBI_HOST_INTAKE_H
#define JBI_HOST_INTAKE_H

#include "host/grpc/grpc.h"

/* Bytes of the body. */
void jbi_grpc_feed(jbi_grpc_call *call, const char *bytes, size_t n);

/* Take again what was not taken. */
void jbi_grpc_retry(jbi_grpc_call *call);

/* Tell the method that the client sends no more, once all was taken. */
void jbi_grpc_check_end(jbi_grpc_call *call);

/* Bound the time that a message which is not whole, or the one of a unary call, may take. */
void jbi_grpc_await(jbi_grpc_call *call);

/* That time is over. */
void jbi_grpc_expire(jbi_grpc_call *call);

/* Give back what is kept of messages, and the window with it. */
void jbi_grpc_forget(jbi_grpc_call *call);

/* In grpc.c: have the stream woken for whatever of the call is due first. */
void jbi_grpc_set_wake(jbi_grpc_call *call);

#endif
