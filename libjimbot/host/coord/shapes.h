/*
 * shapes: the messages of the contract, from tools/shapegen.py.
 *
 * Invariant: the tables are those of proto/jimbot/v1/resource_coordinator.proto.
 */
#ifndef JBI_HOST_SHAPES_H
#define JBI_HOST_SHAPES_H

#include "host/coord/shape.h"

extern const jbi_shape_words jbi_words_resource_kind;
extern const jbi_shape_words jbi_words_lease_class;
extern const jbi_shape_words jbi_words_lease_end;
extern const jbi_shape_words jbi_words_memory_state;

extern const jbi_shape jbi_shape_request_resource_request;
extern const jbi_shape jbi_shape_request_resource_response;
extern const jbi_shape jbi_shape_renew_lease_request;
extern const jbi_shape jbi_shape_renew_lease_response;
extern const jbi_shape jbi_shape_shrink_lease_request;
extern const jbi_shape jbi_shape_shrink_lease_response;
extern const jbi_shape jbi_shape_release_resource_request;
extern const jbi_shape jbi_shape_release_resource_response;
extern const jbi_shape jbi_shape_watch_lease_request;
extern const jbi_shape jbi_shape_watch_lease_response;
extern const jbi_shape jbi_shape_check_token_request;
extern const jbi_shape jbi_shape_check_token_response;
extern const jbi_shape jbi_shape_reserve_usage_request;
extern const jbi_shape jbi_shape_reserve_usage_response;
extern const jbi_shape jbi_shape_commit_usage_request;
extern const jbi_shape jbi_shape_commit_usage_response;
extern const jbi_shape jbi_shape_correct_usage_request;
extern const jbi_shape jbi_shape_correct_usage_response;
extern const jbi_shape jbi_shape_get_resource_status_request;
extern const jbi_shape jbi_shape_get_resource_status_response;
extern const jbi_shape jbi_shape_stream_resource_status_request;
extern const jbi_shape jbi_shape_stream_resource_status_response;
extern const jbi_shape jbi_shape_list_leases_request;
extern const jbi_shape jbi_shape_list_leases_response;
extern const jbi_shape jbi_shape_health_check_request;
extern const jbi_shape jbi_shape_health_check_response;

#endif
