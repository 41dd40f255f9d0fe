/*
 * address: a socket's address as text, "127.0.0.1:41373", "[::1]:8080".
 */
#ifndef JBI_HOST_ADDRESS_H
#define JBI_HOST_ADDRESS_H

#include <uv.h>

enum { JBI_ADDRESS_BYTES = 80 };

void jbi_address_write(const struct sockaddr_storage *at, char to[JBI_ADDRESS_BYTES]);

/* Of the other end of a connection; "unix" when it is a Unix socket, "" when it is gone. */
void jbi_address_of_peer(const uv_handle_t *handle, char to[JBI_ADDRESS_BYTES]);

#endif
