/*
 * peer: who is at the other end of a connection, as far as the connection itself tells.
 *
 * Invariant: filled in from the kernel and from a verified certificate, never from what the client
 * says.
 */
#ifndef JBI_HOST_PEER_H
#define JBI_HOST_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct jbi_peer {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d; of IPv6 the first 64 bits, which one client has
                            whole; of a Unix socket the user id */
    bool is_local;       /* a Unix socket's peer of our own user, or root */
    bool has_cert;
    char name[64]; /* common name of the verified certificate, "" when it has none */
} jbi_peer;

/* What the kernel knows of the peer of an accepted socket. */
void jbi_peer_of_tcp(jbi_peer *p, const uv_tcp_t *tcp);
void jbi_peer_of_unix(jbi_peer *p, const uv_pipe_t *pipe);

#endif
