/*
 * address: see address.h.
 */
#include "host/net/address.h"

#include <netinet/in.h>
#include <stdio.h>

void jbi_address_write(const struct sockaddr_storage *at, char to[JBI_ADDRESS_BYTES])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)at;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)at;
    char name[64] = "";

    if (at->ss_family == AF_INET6) {
        uv_ip6_name(v6, name, sizeof(name));
        snprintf(to, JBI_ADDRESS_BYTES, "[%s]:%u", name, ntohs(v6->sin6_port));
    } else {
        uv_ip4_name(v4, name, sizeof(name));
        snprintf(to, JBI_ADDRESS_BYTES, "%s:%u", name, ntohs(v4->sin_port));
    }
}

void jbi_address_of_peer(const uv_handle_t *handle, char to[JBI_ADDRESS_BYTES])
{
    struct sockaddr_storage at;
    int n = sizeof(at);

    to[0] = '\0';
    if (handle->type == UV_NAMED_PIPE)
        snprintf(to, JBI_ADDRESS_BYTES, "unix");
    else if (uv_tcp_getpeername((const uv_tcp_t *)handle, (struct sockaddr *)&at, &n) == 0)
        jbi_address_write(&at, to);
}
