/*
 * tls: TLS of OpenSSL between a connection and its socket, as a pump without a socket of its own.
 *
 * What comes from the socket goes through jbi_tls_feed(), what goes to it through jbi_tls_seal().
 * OpenSSL reads the ciphertext where it was read to and writes into the text that is sent next.
 *
 * Invariant: ciphertext is opened only as fast as its plaintext is used: a connection holds, beyond
 * what it holds without TLS, one record not yet used and one incomplete. After jbi_tls_end() or a
 * failure nothing more is sealed.
 */
#ifndef JBI_HOST_TLS_H
#define JBI_HOST_TLS_H

#include "host/text/htext.h"

/* Certificate, key and who may come: shared by the connections made while it is current. */
typedef struct jbi_tls_site jbi_tls_site;

/* One connection's. */
typedef struct jbi_tls jbi_tls;

typedef struct jbi_tls_files {
    const char *cert;      /* PEM: the certificate, then those between it and its root */
    const char *key;       /* PEM, without a passphrase, not readable by everybody */
    const char *client_ca; /* PEM: who signs the certificates of clients; "" none are asked for */
    bool must_have_cert;   /* a client without a certificate is refused in the handshake */
} jbi_tls_files;

enum jbi_tls_state {
    JBI_TLS_HANDSHAKE = 0,
    JBI_TLS_READY = 1,
    JBI_TLS_ENDED = 2,     /* the client said that it sends no more */
    JBI_TLS_FAILED = 3,    /* what came is no TLS, or none that we take */
    JBI_TLS_PLAIN_HTTP = 4 /* what came is HTTP without TLS */
};

/* Read the files. Returns 0, JB_EINVAL (err->msg names file and reason) or JB_ENOMEM. */
int jbi_tls_site_create(const jbi_tls_files *files, const jb_alloc *alloc, jbi_tls_site **ret_site,
                        jb_error *err);

/* Give it up; connections made from it keep it as long as they live. NULL is fine. */
void jbi_tls_site_unref(jbi_tls_site *site);

/* Whether the certificate is for this name. */
bool jbi_tls_site_is_for(const jbi_tls_site *site, const char *name, size_t n);

/* NULL when there is no memory. */
jbi_tls *jbi_tls_create(jbi_tls_site *site, const jb_alloc *alloc);
void jbi_tls_destroy(jbi_tls *t);

/* Takes plaintext and says how much of it was used; less than all means: not now. */
typedef size_t (*jbi_tls_fn)(void *userdata, const char *bytes, size_t n);

/* Open n bytes of ciphertext and hand the plaintext on. Returns how many were used; the rest, and
 * plaintext that was not used (jbi_tls_is_holding()), wait for the next call, where n may be 0. */
size_t jbi_tls_feed(jbi_tls *t, const char *bytes, size_t n, jbi_tls_fn fn, void *userdata);

bool jbi_tls_is_holding(const jbi_tls *t);
enum jbi_tls_state jbi_tls_state(const jbi_tls *t);

/* Whether its handshake succeeded, whatever came later. */
bool jbi_tls_is_secured(const jbi_tls *t);

/* Why it failed, for a log line; "" when it did not. Holds nothing that the client chose. */
const char *jbi_tls_problem(const jbi_tls *t);

/* Turn plaintext into what the socket is to be given, the handshake's own bytes included. Returns
 * 0, or JB_ESTATE (there is no session any more that could carry it). */
int jbi_tls_seal(jbi_tls *t, jbi_htext *text);

/* The next seal is the last; it says so to the client. */
void jbi_tls_end(jbi_tls *t);

/* The common name of the client's verified certificate into `name`, "" when it has none that can be
 * used; false when it showed no certificate. */
bool jbi_tls_client_name(const jbi_tls *t, char *name, size_t cap);

#endif
