/*
 * url: the addresses a client understands, in parts.
 *
 * Invariant: what jbi_url_parse() accepts can be put into the header of an HTTP request as it is:
 * no byte of it is a control byte or a space.
 */
#ifndef JBI_CLIENT_URL_H
#define JBI_CLIENT_URL_H

#include "jimbot/base.h"

enum jbi_url_scheme { JBI_URL_WS, JBI_URL_HTTP, JBI_URL_GRPC, JBI_URL_UNIX, JBI_URL_SHM };

typedef struct jbi_url {
    uint32_t scheme; /* enum jbi_url_scheme */
    bool is_tls;
    bool is_numeric; /* host is an address, not a name */
    char host[256];  /* or the path of the socket, or the name of the bus */
    char port[8];
    char path[256]; /* begins with a slash */
} jbi_url;

/* Returns 0 or JB_EINVAL; err says what is wrong, without the address: it may hold a secret. */
int jbi_url_parse(const char *text, jbi_url *ret, jb_error *err);

#endif
