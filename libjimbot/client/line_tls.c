/*
 * line_tls: see line_tls.h.
 */
#include "client/line_tls.h"

#include "base/error.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

static int refuse(jb_error *err, const char *what, const char *path)
{
    unsigned long code = ERR_get_error();
    const char *why = ERR_reason_error_string(code);

    ERR_clear_error();
    return jbi_error_set(err, JB_ESYS, "%s %.120s: %s", what, path, why ? why : "unusable");
}

static int load_files(SSL_CTX *ctx, const jb_client_opts *opts, jb_error *err)
{
    if (opts->tls_ca) {
        if (SSL_CTX_load_verify_file(ctx, opts->tls_ca) != 1)
            return refuse(err, "tls_ca", opts->tls_ca);
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        return refuse(err, "certificates of the system", "");
    }
    if (!opts->tls_cert)
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, opts->tls_cert) != 1)
        return refuse(err, "tls_cert", opts->tls_cert);
    if (SSL_CTX_use_PrivateKey_file(ctx, opts->tls_key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return refuse(err, "tls_key", opts->tls_key);
    return 0;
}

int jbi_line_tls_context(const jb_client_opts *opts, bool is_h2, SSL_CTX **ret_ctx, jb_error *err)
{
    static const unsigned char http1[] = "\x08http/1.1", http2[] = "\x02h2";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int rc;

    if (!ctx)
        return jbi_error_set(err, JB_ENOMEM, "no memory for TLS");
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_alpn_protos(ctx, is_h2 ? http2 : http1,
                            (unsigned)(is_h2 ? sizeof(http2) : sizeof(http1)) - 1);
    SSL_CTX_set_verify(ctx, opts->flags & JB_CLIENT_TLS_ANY ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    rc = load_files(ctx, opts, err);
    if (rc < 0)
        SSL_CTX_free(ctx);
    else
        *ret_ctx = ctx;
    return rc;
}

static bool set_host(SSL *ssl, const jbi_url *url)
{
    if (url->is_numeric)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), url->host) == 1;
    return SSL_set_tlsext_host_name(ssl, url->host) == 1 && SSL_set1_host(ssl, url->host) == 1;
}

int jbi_line_tls_begin(jbi_line_tls *t, SSL_CTX *ctx, const jbi_url *url)
{
    *t = (jbi_line_tls){
        .ssl = SSL_new(ctx), .in = BIO_new(BIO_s_mem()), .out = BIO_new(BIO_s_mem())};
    if (!t->ssl || !t->in || !t->out || !set_host(t->ssl, url)) {
        BIO_free(t->in);
        BIO_free(t->out);
        SSL_free(t->ssl);
        *t = (jbi_line_tls){.ssl = NULL};
        return JB_ENOMEM;
    }
    SSL_set_bio(t->ssl, t->in, t->out);
    SSL_set_connect_state(t->ssl);
    return 0;
}

void jbi_line_tls_end(jbi_line_tls *t)
{
    SSL_free(t->ssl);
    *t = (jbi_line_tls){.ssl = NULL};
}

int jbi_line_tls_feed(jbi_line_tls *t, const char *bytes, size_t n, jb_error *err)
{
    if (n > INT_MAX || BIO_write(t->in, bytes, (int)n) != (int)n)
        return jbi_error_set(err, JB_ESYS, "no memory for what came over TLS");
    return 0;
}

/* Why OpenSSL does not go on: 0, more bytes are needed. */
static int explain(jbi_line_tls *t, int rc, jb_error *err)
{
    int what = SSL_get_error(t->ssl, rc);
    long verdict = SSL_get_verify_result(t->ssl);
    const char *why;

    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return 0;
    if (what == SSL_ERROR_ZERO_RETURN)
        return jbi_error_set(err, JB_ECLOSED, "the server closed the connection");
    why = ERR_reason_error_string(ERR_get_error());
    ERR_clear_error();
    if (!t->is_ready && verdict != X509_V_OK)
        return jbi_error_set(err, JB_ESYS, "TLS: the server's certificate: %s",
                             X509_verify_cert_error_string(verdict));
    return jbi_error_set(err, JB_ESYS, "TLS: %s", why ? why : "the connection broke");
}

int jbi_line_tls_shake(jbi_line_tls *t, jb_error *err)
{
    int rc;

    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc != 1)
        return explain(t, rc, err);
    t->is_ready = true;
    return 1;
}

int jbi_line_tls_read(jbi_line_tls *t, char *to, size_t cap, jb_error *err)
{
    int n;

    ERR_clear_error();
    n = SSL_read(t->ssl, to, (int)cap);
    return n > 0 ? n : explain(t, n, err);
}

bool jbi_line_tls_write(jbi_line_tls *t, const void *bytes, size_t n)
{
    const char *at = bytes;

    while (n > 0) {
        int piece = n > 65536 ? 65536 : (int)n;
        int rc;

        ERR_clear_error();
        rc = SSL_write(t->ssl, at, piece);
        if (rc <= 0)
            return false;
        at += rc;
        n -= (size_t)rc;
    }
    return true;
}

void jbi_line_tls_drain(jbi_line_tls *t, jbi_htext *out)
{
    char *data;
    long n = BIO_get_mem_data(t->out, &data);

    if (n <= 0)
        return;
    jbi_htext_add(out, data, (size_t)n);
    (void)BIO_reset(t->out);
}
