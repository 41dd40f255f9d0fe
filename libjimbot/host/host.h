/*
 * host.h: the server object, shared between host.c (life), listener.c (address) and conn.c
 * (clients).
 *
 * Invariant: `n_handles` counts every uv handle of ours that is not yet closed; the object is freed
 * only at zero, so no callback ever finds it gone.
 */
#ifndef JBI_HOST_HOST_H
#define JBI_HOST_HOST_H

#include "host/conn.h"
#include "host/service.h"

#include <stdatomic.h>
#include <time.h>

struct jb_host {
    jb_host_opts opts;
    const jb_alloc *alloc; /* points to alloc_copy */
    jb_alloc alloc_copy;
    uv_loop_t *loop;
    uv_loop_t own_loop;
    uv_tcp_t listener;
    uv_timer_t tick;
    uv_async_t wake;
    jb_bus *bus;
    jbi_service service;
    jbi_request_limits limits;
    jbi_conn *conns;
    char *read_buf;   /* one read, worked through before the next */
    uint64_t stop_ms; /* loop time of the first stop, 0 none */
    time_t date_s;
    char date[40];
    char address[80];
    uint32_t n_handles;
    atomic_uint n_stops; /* calls of jb_host_stop(), read on the loop */
    bool owns_loop;
    bool owns_bus;
    bool has_service;
    bool has_run;
    bool is_listening;
    bool is_accept_owed; /* a connection waits for memory */
    bool is_orphan;      /* destroyed by its owner: free when the last handle closes */
};

/* Bind and listen. Returns 0, JB_EINVAL or JB_ESYS. */
int jbi_listener_open(jb_host *host, jb_error *err);

/* To be called from each close callback. */
void jbi_host_handle_closed(jb_host *host);

/* The Date field's value now. */
const char *jbi_host_date(jb_host *host);

#endif
