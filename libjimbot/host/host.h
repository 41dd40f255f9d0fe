/*
 * host.h: the server object, shared between host.c (life), net/ (addresses and connections) and the
 * protocols.
 *
 * Invariant: `n_handles` counts every uv handle of ours that is not yet closed; the object is freed
 * only at zero, so no callback ever finds it gone.
 */
#ifndef JBI_HOST_HOST_H
#define JBI_HOST_HOST_H

#include "host/access/gate.h"
#include "host/added/added.h"
#include "host/http1/request.h"
#include "host/net/conn.h"
#include "host/net/listener.h"
#include "host/service/service.h"

#include <stdatomic.h>
#include <time.h>

/* Descriptors that connections leave free. */
enum { JBI_HOST_SPARE_FILES = 16 };

struct jb_host {
    jb_host_opts opts;
    const jb_alloc *alloc; /* points to alloc_copy */
    jb_alloc alloc_copy;
    uv_loop_t *loop;
    uv_loop_t own_loop;
    jbi_listener listeners[JBI_LISTENERS_MAX];
    uv_timer_t sweep;   /* armed for the earliest deadline of a connection */
    uv_poll_t commands; /* commands have come */
    uv_async_t wake;    /* jb_host_stop() was called */
    uv_prepare_t turn;  /* the loop is about to wait: a turn ends */
    uint64_t turn_ns;   /* uv_hrtime() at the end of the one before */
    uint64_t idle_ns;   /* uv_metrics_idle_time() then */
    jb_bus *bus;
    jbi_service service;
    jbi_request_limits limits;
    jbi_gate gate;
    jbi_added added; /* services of the program's own */
    jbi_crowd crowd;
    uint64_t max_fd;   /* connections have descriptors below this */
    jbi_tls_site *tls; /* for new TCP connections; NULL: they speak without */
    jbi_conn *conns;
    char *read_buf;    /* one read, worked through before the next */
    uint64_t stop_ms;  /* loop time of the first stop, 0 none */
    uint64_t sweep_ms; /* when the timer goes off, 0: it is not armed */
    time_t date_s;
    char date[40];
    uint32_t n_handles;
    atomic_uint n_stops;      /* calls of jb_host_stop(), read on the loop */
    atomic_bool wants_reload; /* jb_host_reload() was called */
    atomic_bool wants_tick;   /* jb_host_kick() was called */
    bool owns_loop;
    bool owns_bus;
    bool has_service;
    bool has_run;
    bool is_listening;
    bool is_orphan; /* destroyed by its owner: free when the last handle closes */
};

/* Look at the deadlines at this time of the loop's clock, or earlier. */
void jbi_host_sweep_at(jb_host *host, uint64_t at_ms);

/* To be called from each close callback. */
void jbi_host_handle_closed(jb_host *host);

/* The Date field's value now. */
const char *jbi_host_date(jb_host *host);

#endif
