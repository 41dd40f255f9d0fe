/*
 * health_calls: grpc.health.v1.Health: is this server, or a service of it, ready?
 *
 * Invariant: it says SERVING exactly while calls are taken.
 */
#ifndef JBI_HOST_HEALTH_CALLS_H
#define JBI_HOST_HEALTH_CALLS_H

#include "host/grpc/grpc.h"

bool jbi_grpc_health_check(jbi_grpc_call *call, jbi_slice message);
bool jbi_grpc_health_watch(jbi_grpc_call *call, jbi_slice message);
void jbi_grpc_health_watch_tick(jbi_grpc_call *call);
void jbi_grpc_health_watch_close(jbi_grpc_call *call);

#endif
