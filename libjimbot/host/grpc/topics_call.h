/*
 * topics_call: ListTopics of jimbot.v1.EventBus, see topics_call.c.
 */
#ifndef JBI_HOST_TOPICS_CALL_H
#define JBI_HOST_TOPICS_CALL_H

#include "host/grpc/grpc.h"

bool jbi_grpc_list_topics(jbi_grpc_call *call, jbi_slice message);

#endif
