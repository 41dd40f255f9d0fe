/*
 * grpc_calls: methods of gRPC that a program answers itself.
 *
 * Invariant: a method is unary on the client's side; its call is finished by the program, by the
 * client, or by the host when it stops.
 */
#ifndef JBI_HOST_GRPC_CALLS_H
#define JBI_HOST_GRPC_CALLS_H

#include "host/added/added.h"
#include "host/grpc/grpc.h"

/* The method comes first, so that a call can go back from it. */
typedef struct jbi_added_method {
    jbi_grpc_method method;
    const jb_service_entry *entry;
    const jb_service *service;
} jbi_added_method;

/* Method idx of all that were added, NULL past the end. */
const jbi_grpc_method *jbi_added_method_at(const jbi_added *a, uint32_t idx);

#endif
