/*
 * line: one connection of a client: looked up, connected, encrypted or not, written to and read
 * from, closed. What is said on it is the owner's.
 *
 * The owner is told through three functions. After `lost`, which may come from within
 * jbi_line_open(), or jbi_line_close(), nothing more comes until the next jbi_line_open().
 *
 * Invariant: at most one socket is open; what waits to be written is bounded by whoever writes,
 * who looks at jbi_line_backlog() first.
 */
#ifndef JBI_CLIENT_LINE_H
#define JBI_CLIENT_LINE_H

#include "client/line_tls.h"
#include "client/url.h"
#include "host/text/htext.h"

#include <uv.h>

struct addrinfo;

typedef struct jbi_line jbi_line;

typedef struct jbi_line_owner {
    void (*connected)(void *userdata);
    void (*received)(void *userdata, const char *bytes, size_t n);
    void (*lost)(void *userdata, const jb_error *why);
    void *userdata;
} jbi_line_owner;

struct jbi_line {
    uv_loop_t *loop;
    const jb_alloc *alloc;
    jbi_line_owner owner;
    const jbi_url *url;
    SSL_CTX *tls_ctx; /* borrowed; NULL: plain */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } io;
    uv_connect_t connect;
    uv_write_t write;
    struct addrinfo *found;
    struct addrinfo *next; /* to try */
    jbi_line_tls tls;
    jbi_htext open; /* to be written next */
    jbi_htext busy; /* being written */
    jb_error why;
    bool is_busy;
    bool is_open;      /* io is a handle */
    bool is_connected; /* and bytes may be sent */
    bool is_ended;     /* closing: `lost` is to be called, or the next address tried */
    bool is_quiet;     /* closing: nobody is to be told */
    bool is_paused;
    char read[64 * 1024];
};

void jbi_line_init(jbi_line *l, uv_loop_t *loop, const jbi_line_owner *owner,
                   const jb_alloc *alloc);
void jbi_line_fini(jbi_line *l);

/* Connect to an address, which must outlive the connection. Looks the name up: waits. */
void jbi_line_open(jbi_line *l, const jbi_url *url, SSL_CTX *tls_ctx);

/* Give up the address that is being connected to and go on with the next; false: there is none, or
 * one is connected. */
bool jbi_line_try_next(jbi_line *l);

/* Append bytes; they leave with jbi_line_flush(). */
void jbi_line_send(jbi_line *l, const void *bytes, size_t n);
void jbi_line_flush(jbi_line *l);
size_t jbi_line_backlog(const jbi_line *l);

/* Stop or go on reading. */
void jbi_line_pause(jbi_line *l, bool is_paused);

/* Close without a word to the owner. */
void jbi_line_close(jbi_line *l);

#endif
