/*
 * tls: see tls.h. One BIO of ours serves both ways: OpenSSL reads from the bytes lent to
 * jbi_tls_feed() and appends to the text that jbi_tls_seal() hands over, so nothing is copied
 * between, and an idle connection holds no buffer of OpenSSL's (SSL_MODE_RELEASE_BUFFERS).
 */
#include "host/net/tls.h"

#include "host/text/hmem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

/* The plaintext of one record. */
enum { RECORD_BYTES = 16 * 1024, KEEP_BYTES = 4 * 1024 };

struct jbi_tls_site {
    const jb_alloc *alloc;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    uint32_t n_refs; /* its owner, and each connection made from it */
};

struct jbi_tls {
    const jb_alloc *alloc;
    jbi_tls_site *site;
    SSL *ssl;
    const char *in; /* lent by the caller of feed() */
    size_t n_in;
    jbi_htext out;  /* ciphertext for the next seal */
    jbi_htext rest; /* plaintext not yet used */
    size_t n_rest_used;
    enum jbi_tls_state state;
    bool is_secured;
    bool is_ending;
    bool is_over; /* close_notify is said */
    char problem[120];
};

static int refuse(jb_error *err, int code, const char *file, const char *why)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%.120s: %.100s", file, why);
    }
    return code;
}

/* What OpenSSL says about the last failure; its queue is empty afterwards. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(code);

    ERR_clear_error();
    return text ? text : "OpenSSL cannot use it";
}

static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *ret_written)
{
    jbi_tls *t = BIO_get_data(bio);

    jbi_htext_add(&t->out, bytes, n); /* a failure sticks and ends the connection at the seal */
    *ret_written = n;
    return 1;
}

static int bio_read(BIO *bio, char *bytes, size_t n, size_t *ret_read)
{
    jbi_tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (t->n_in == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    n = n < t->n_in ? n : t->n_in;
    memcpy(bytes, t->in, n);
    t->in += n;
    t->n_in -= n;
    *ret_read = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    return what == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *make_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "jimbot");

    if (!m)
        return NULL;
    BIO_meth_set_write_ex(m, bio_write);
    BIO_meth_set_read_ex(m, bio_read);
    BIO_meth_set_ctrl(m, bio_ctrl);
    BIO_meth_set_create(m, bio_create);
    return m;
}

/* The first protocol of ours that the client offers too; a client that offers none of them gets
 * none and speaks HTTP/1.1 or is refused by it. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_bytes,
                   const unsigned char *theirs, unsigned n_theirs, void *userdata)
{
#ifdef JBI_HAVE_HTTP2
    static const unsigned char ours[] = "\x02h2\x08http/1.1";
#else
    static const unsigned char ours[] = "\x08http/1.1";
#endif
    unsigned char *chosen;

    if (SSL_select_next_proto(&chosen, ret_bytes, ours, sizeof(ours) - 1, theirs, n_theirs) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* A daemon has nobody to ask for a passphrase. */
static int on_passphrase(char *to, int cap, int is_for_writing, void *userdata)
{
    return -1;
}

static int load_key(jbi_tls_site *site, const char *path, jb_error *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return refuse(err, JB_EINVAL, path, strerror(errno));
    if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        return refuse(err, JB_EINVAL, path, "the key may be read or written by others: chmod 600");
    if (SSL_CTX_use_PrivateKey_file(site->ctx, path, SSL_FILETYPE_PEM) != 1)
        return refuse(err, JB_EINVAL, path, reason());
    if (SSL_CTX_check_private_key(site->ctx) != 1)
        return refuse(err, JB_EINVAL, path, reason());
    return 0;
}

static int load_client_ca(jbi_tls_site *site, const jbi_tls_files *files, jb_error *err)
{
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(files->client_ca);

    if (!names || SSL_CTX_load_verify_file(site->ctx, files->client_ca) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return refuse(err, JB_EINVAL, files->client_ca, reason());
    }
    SSL_CTX_set_client_CA_list(site->ctx, names);
    SSL_CTX_set_verify(
        site->ctx, SSL_VERIFY_PEER | (files->must_have_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    return 0;
}

static void set_rules(SSL_CTX *ctx)
{
    static const unsigned char id[] = "jimbot";

    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* TLS 1.2 only with forward secrecy and authenticated encryption; 1.3 has nothing else. */
    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets carry all there is */
    SSL_CTX_set_default_passwd_cb(ctx, on_passphrase);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

static int load(jbi_tls_site *site, const jbi_tls_files *files, jb_error *err)
{
    int rc;

    site->method = make_method();
    site->ctx = SSL_CTX_new(TLS_server_method());
    if (!site->ctx || !site->method)
        return refuse(err, JB_ENOMEM, "TLS", reason());
    set_rules(site->ctx);
    if (SSL_CTX_use_certificate_chain_file(site->ctx, files->cert) != 1)
        return refuse(err, JB_EINVAL, files->cert, reason());
    rc = load_key(site, files->key, err);
    return rc == 0 && *files->client_ca ? load_client_ca(site, files, err) : rc;
}

int jbi_tls_site_create(const jbi_tls_files *files, const jb_alloc *alloc, jbi_tls_site **ret_site,
                        jb_error *err)
{
    jbi_tls_site *site = jbi_hmem_zalloc(alloc, sizeof(*site));
    int rc;

    if (!site)
        return refuse(err, JB_ENOMEM, "TLS", jb_strerror(JB_ENOMEM));
    site->alloc = alloc;
    site->n_refs = 1;
    ERR_clear_error();
    rc = load(site, files, err);
    if (rc < 0)
        jbi_tls_site_unref(site);
    else
        *ret_site = site;
    return rc;
}

void jbi_tls_site_unref(jbi_tls_site *site)
{
    if (!site || --site->n_refs > 0)
        return;
    SSL_CTX_free(site->ctx);
    BIO_meth_free(site->method);
    jbi_hmem_free(site->alloc, site, sizeof(*site));
}

bool jbi_tls_site_is_for(const jbi_tls_site *site, const char *name, size_t n)
{
    X509 *cert = SSL_CTX_get0_certificate(site->ctx);

    return cert && n > 0 && X509_check_host(cert, name, n, 0, NULL) == 1;
}

static bool init(jbi_tls *t)
{
    BIO *bio = BIO_new(t->site->method);

    t->ssl = SSL_new(t->site->ctx);
    if (!t->ssl || !bio) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, t);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    return true;
}

jbi_tls *jbi_tls_create(jbi_tls_site *site, const jb_alloc *alloc)
{
    jbi_tls *t = jbi_hmem_zalloc(alloc, sizeof(*t));

    if (!t)
        return NULL;
    t->alloc = alloc;
    t->site = site;
    site->n_refs++;
    jbi_htext_init(&t->out, alloc);
    jbi_htext_init(&t->rest, alloc);
    if (init(t))
        return t;
    jbi_tls_destroy(t);
    return NULL;
}

void jbi_tls_destroy(jbi_tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    jbi_htext_fini(&t->out);
    jbi_htext_fini(&t->rest);
    jbi_tls_site_unref(t->site);
    jbi_hmem_free(t->alloc, t, sizeof(*t));
}

/* A failure ends the session; OpenSSL has already written the alert that says so. */
static void fail(jbi_tls *t)
{
    unsigned long code = ERR_peek_last_error();
    bool is_plain =
        ERR_GET_LIB(code) == ERR_LIB_SSL && (ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST ||
                                             ERR_GET_REASON(code) == SSL_R_HTTPS_PROXY_REQUEST);

    snprintf(t->problem, sizeof(t->problem), "%s", reason());
    t->state = is_plain ? JBI_TLS_PLAIN_HTTP : JBI_TLS_FAILED;
}

/* Plaintext of one record into `bytes`; 0 when there is none for now, or ever. */
static size_t open_record(jbi_tls *t, char bytes[RECORD_BYTES])
{
    size_t n = 0;
    int rc;

    if (t->state > JBI_TLS_READY)
        return 0;
    ERR_clear_error();
    rc = SSL_read_ex(t->ssl, bytes, RECORD_BYTES, &n);
    if (t->state == JBI_TLS_HANDSHAKE && SSL_is_init_finished(t->ssl)) {
        t->is_secured = true;
        t->state = JBI_TLS_READY;
    }
    if (rc == 1)
        return n;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->state = JBI_TLS_ENDED;
        break;
    default:
        fail(t);
        break;
    }
    return 0;
}

/* Hand on what an earlier call could not; true when nothing of it is left. */
static bool feed_rest(jbi_tls *t, jbi_tls_fn fn, void *userdata)
{
    if (t->rest.len == 0)
        return true;
    t->n_rest_used += fn(userdata, t->rest.data + t->n_rest_used, t->rest.len - t->n_rest_used);
    if (t->n_rest_used < t->rest.len)
        return false;
    jbi_htext_reset(&t->rest, 0);
    t->n_rest_used = 0;
    return true;
}

size_t jbi_tls_feed(jbi_tls *t, const char *bytes, size_t n, jbi_tls_fn fn, void *userdata)
{
    /* On the stack, because the protocol that is fed may wake another connection. */
    char plain[RECORD_BYTES];
    size_t n_plain;
    size_t n_used;

    if (!feed_rest(t, fn, userdata))
        return 0;
    t->in = bytes;
    t->n_in = n;
    while ((n_plain = open_record(t, plain)) > 0) {
        n_used = fn(userdata, plain, n_plain);
        if (n_used == n_plain)
            continue;
        jbi_htext_add(&t->rest, plain + n_used, n_plain - n_used);
        if (t->rest.is_broken)
            fail(t);
        break;
    }
    n -= t->n_in;
    t->in = NULL;
    t->n_in = 0;
    return n;
}

bool jbi_tls_is_holding(const jbi_tls *t)
{
    return t->rest.len > 0;
}

enum jbi_tls_state jbi_tls_state(const jbi_tls *t)
{
    return t->state;
}

bool jbi_tls_is_secured(const jbi_tls *t)
{
    return t->is_secured;
}

const char *jbi_tls_problem(const jbi_tls *t)
{
    return t->problem;
}

void jbi_tls_end(jbi_tls *t)
{
    t->is_ending = true;
}

int jbi_tls_seal(jbi_tls *t, jbi_htext *text)
{
    jbi_htext plain = *text;
    size_t n;
    int rc = 0;

    ERR_clear_error();
    if (plain.len > 0 && (t->is_over || SSL_write_ex(t->ssl, plain.data, plain.len, &n) != 1))
        rc = JB_ESTATE;
    if (t->is_ending && !t->is_over && SSL_is_init_finished(t->ssl)) {
        t->is_over = true;
        SSL_shutdown(t->ssl);
    }
    ERR_clear_error();
    *text = t->out;
    t->out = plain;
    jbi_htext_reset(&t->out, KEEP_BYTES);
    return rc;
}

bool jbi_tls_client_name(const jbi_tls *t, char *name, size_t cap)
{
    X509 *cert = SSL_get0_peer_certificate(t->ssl);
    X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;
    int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
    unsigned char *text = NULL;
    int n;

    name[0] = '\0';
    if (!cert || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return false;
    if (at < 0)
        return true;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    /* A name with a NUL in it could be read as another one. */
    if (n > 0 && (size_t)n < cap && !memchr(text, 0, (size_t)n)) {
        memcpy(name, text, (size_t)n);
        name[n] = '\0';
    }
    OPENSSL_free(text);
    return true;
}
