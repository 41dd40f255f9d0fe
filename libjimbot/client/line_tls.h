/*
 * line_tls: TLS of a client's connection: bytes of the socket in, plain bytes out, and back,
 * through OpenSSL and two buffers in memory.
 *
 * Invariant: unless JB_CLIENT_TLS_ANY was said, no byte is handed on or sent before the
 * certificate was found good for the host of the address.
 */
#ifndef JBI_CLIENT_LINE_TLS_H
#define JBI_CLIENT_LINE_TLS_H

#include "client/url.h"
#include "host/text/htext.h"
#include "jimbot/client.h"

#include <openssl/ssl.h>

typedef struct jbi_line_tls {
    SSL *ssl; /* NULL: not in use */
    BIO *in;  /* both are the ssl's */
    BIO *out;
    bool is_ready; /* shaken hands */
} jbi_line_tls;

/* What all connections of a client share. Returns 0, JB_ESYS (a file that cannot be used; err names
 * it) or JB_ENOMEM. */
int jbi_line_tls_context(const jb_client_opts *opts, bool is_h2, SSL_CTX **ret_ctx, jb_error *err);

/* Returns 0 or JB_ENOMEM. */
int jbi_line_tls_begin(jbi_line_tls *t, SSL_CTX *ctx, const jbi_url *url);
void jbi_line_tls_end(jbi_line_tls *t);

/* Bytes of the socket. Returns 0 or JB_ESYS: it is over, see err. */
int jbi_line_tls_feed(jbi_line_tls *t, const char *bytes, size_t n, jb_error *err);

/* Go on shaking hands. 1 done, 0 more bytes are needed, JB_ESYS: it is over, see err. */
int jbi_line_tls_shake(jbi_line_tls *t, jb_error *err);

/* Plain bytes that have come. How many, 0 none now, JB_ESYS, JB_ECLOSED. */
int jbi_line_tls_read(jbi_line_tls *t, char *to, size_t cap, jb_error *err);

/* Plain bytes to send; false when it is over. */
bool jbi_line_tls_write(jbi_line_tls *t, const void *bytes, size_t n);

/* Append what is for the socket. */
void jbi_line_tls_drain(jbi_line_tls *t, jbi_htext *out);

#endif
