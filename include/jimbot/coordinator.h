/**
 * jimbot/coordinator.h: a coordinator of resources (quota.h) served by a host (libjimbot-host):
 * gRPC as jimbot.v1.ResourceCoordinator says, and the same over REST in JSON.
 *
 * @code
 *     jb_coord_service_opts_init(&opts, sizeof opts);
 *     opts.coord = coord;
 *     jb_coord_service_create(&opts, &service, &err);
 *     jb_coord_service_join(service, host, &err);
 *     jb_host_run(host);
 *     jb_host_destroy(host);
 *     jb_coord_service_destroy(service);
 * @endcode
 *
 * Caveats first:
 *  - A holder over the network lives by its deadline, which it moves with RenewLease; a lease that
 *    WatchLease keeps ends with that call. A host that stops ends those calls and not their leases.
 *  - What waits for a lease while another process gives it, in a coordinator that is shared by
 *    name, learns of it within some milliseconds.
 *  - Whoever has the scope `resource` may end and renew every lease whose id and token it knows.
 */
#ifndef JIMBOT_COORDINATOR_H
#define JIMBOT_COORDINATOR_H

#include "jimbot/bus.h"
#include "jimbot/observe.h"
#include "jimbot/quota.h"
#include "jimbot/service.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A coordinator as a service. Opaque. */
typedef struct jb_coord_service jb_coord_service;

/** Options; start from jb_coord_service_opts_init(). */
typedef struct jb_coord_service_opts {
    uint32_t size;          /**< set by jb_coord_service_opts_init() */
    uint32_t is_shared;     /**< 1: other processes use the coordinator too; default 0 */
    jb_coord *coord;        /**< borrowed until jb_coord_service_destroy() */
    const char *audit_path; /**< file that every record is appended to, a line of JSON each; NULL,
                                  the default: none */
    uint64_t hold_ns;       /**< of a lease whose request does not say; default 60 s */
    uint64_t max_hold_ns;   /**< longest that a request may say; default 24 h */
    uint64_t max_wait_ns;   /**< longest that a request waits; default 1 h */
    jb_bus *bus;            /**< where every record is published too, on resource.granted,
                                  resource.denied, resource.ended and so on, and who is to shrink,
                                  see jb_coord_service_observe(); borrowed; NULL, the default:
                                  nowhere */
    const jb_alloc *alloc;  /**< NULL for libc */
} jb_coord_service_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_coord_service_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_coord_service_opts_init(jb_coord_service_opts *opts, uint32_t size);

/**
 * Make the service.
 *
 * @param ret_service  the caller destroys it.
 *
 * @return 0, or JB_EINVAL (no coordinator, an option is out of range), JB_ESYS (audit_path cannot
 * be written; err->os_errno), JB_ENOMEM, or what jb_bus_topic() returns.
 *
 * Threads: any. Blocks: for the file. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_service_create(const jb_coord_service_opts *opts,
                                   jb_coord_service **ret_service, jb_error *err);

/**
 * Have a host serve it, see jb_host_serve().
 *
 * @return 0, or JB_ESTATE (a host does already), or what jb_host_serve() returns.
 *
 * Threads: the loop's, before it runs. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_service_join(jb_coord_service *service, jb_host *host, jb_error *err);

/**
 * Tell the service what an observer saw, after each jb_observer_step() that returned 1. Status and
 * metrics have it from then on, and when a component comes to another state of memory (enum
 * jb_memory_state) that is a line of the audit log and an event on the bus, with what it was
 * granted, what it uses and by how much it is asked to shrink: resource.memory.warn,
 * resource.memory.shrink, and resource.memory.fine when it is over.
 *
 * @return 0, or JB_EINVAL.
 *
 * Threads: the one that steps the observer, until jb_coord_service_destroy(). Blocks: briefly.
 * Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_service_observe(jb_coord_service *service, const jb_observer *observer);

/**
 * Write the rest of the audit log and free it. After jb_host_destroy(). NULL is fine.
 *
 * Threads: one. Blocks: for the file. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_coord_service_destroy(jb_coord_service *service);

/**
 * Walk its paths of HTTP, as jb_host_route_at() does those of the host.
 *
 * @param idx           0, 1, 2 … until the call returns JB_ENOENT.
 * @param ret_method    "GET" …   @param ret_path  "/api/v1/leases" … Static storage.
 *
 * @return 0, or JB_ENOENT past the end, JB_EINVAL (an output is NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_coord_service_route_at(uint32_t idx, const char **ret_method, const char **ret_path);

#ifdef __cplusplus
}
#endif
#endif
