/*
 * reflection_call: grpc.reflection.v1 and v1alpha: which services and messages there are, for tools
 * that were not told.
 *
 * Invariant: what it says comes from the descriptors that protoc made of the .proto files of this
 * build, and only services with a method in the table are listed.
 */
#ifndef JBI_HOST_REFLECTION_CALL_H
#define JBI_HOST_REFLECTION_CALL_H

#include "host/grpc/grpc.h"

bool jbi_grpc_reflection(jbi_grpc_call *call, jbi_slice message);
void jbi_grpc_reflection_end(jbi_grpc_call *call);

#endif
