/*
 * listener: a socket that connections come from: TCP, or a Unix socket. Each speaks everything.
 *
 * Invariant: an address that says nothing but a port is loopback; one that others can reach is
 * listened on only when listen_public says so and there is authentication.
 */
#ifndef JBI_HOST_LISTENER_H
#define JBI_HOST_LISTENER_H

#include "jimbot/base.h"

#include <uv.h>

struct jb_host;

enum { JBI_LISTENERS_MAX = 8 };

typedef struct jbi_listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    struct jb_host *host;
    char address[264]; /* as bound, "127.0.0.1:41373", or "unix:" and the path */
    bool is_unix;
    bool is_open;        /* the handle must be closed */
    bool is_accept_owed; /* a connection waits for memory */
} jbi_listener;

/* Bind and listen on an address of text, or listen on a socket that is there: "fd:3". Returns 0,
 * JB_EINVAL or JB_ESYS. */
int jbi_listener_open(jbi_listener *l, struct jb_host *host, const char *address, jb_error *err);

/* The same on the path of a Unix socket, mode 0600; one that nobody listens on is replaced. */
int jbi_listener_open_unix(jbi_listener *l, struct jb_host *host, const char *path, jb_error *err);

/* Stop listening; jbi_host_handle_closed() is told. */
void jbi_listener_close(jbi_listener *l);

/* Take the connection that waited for memory. */
void jbi_listener_retry(jbi_listener *l);

#endif
