/*
 * tokens: who may come, from a file of lines.
 *
 *     # a comment
 *     <SHA-256 of a token, 64 hex digits> publish,subscribe mod-of-anna
 *     cn:trainer subscribe,admin
 *
 * The second form is for the common name of a client's certificate. A line is scopes with commas
 * between them after the first word, and then, for tokens, a name.
 *
 * Invariant: tokens themselves are never kept, only their hashes; a search looks at every line with
 * a comparison whose time says nothing about the contents. A table that does not parse is no table.
 */
#ifndef JBI_HOST_TOKENS_H
#define JBI_HOST_TOKENS_H

#include "host/text/slice.h"
#include "jimbot/base.h"

enum {
    JBI_TOKEN_NAME_BYTES = 64, /* with its NUL */
    JBI_TOKEN_HASH_BYTES = 32,
    JBI_TOKENS_MAX = 1024, /* lines */
    JBI_TOKENS_FILE_BYTES = 1 << 20,
    JBI_TOKEN_TEXT_BYTES = 48 /* of a made one, with its NUL */
};

typedef struct jbi_token {
    uint8_t hash[JBI_TOKEN_HASH_BYTES];
    char name[JBI_TOKEN_NAME_BYTES];
    uint32_t scopes; /* enum jbi_scope */
    bool is_cert;    /* `name` is a certificate's, there is no hash */
} jbi_token;

typedef struct jbi_tokens {
    const jb_alloc *alloc;
    jbi_token *items;
    uint32_t n;
    uint32_t cap;
    bool has_certs; /* some line begins with cn: */
} jbi_tokens;

/* Read a table from text. Returns 0, JB_EPARSE (err->msg says "LINE: why", nothing of the line's
 * hash) or JB_ENOMEM; on failure *t is empty. */
int jbi_tokens_parse(jbi_tokens *t, const char *text, size_t n, const jb_alloc *alloc,
                     jb_error *err);

/* Read one from a file of mode 0600 or less that belongs to this process's user. Returns what
 * jbi_tokens_parse() does, or JB_EINVAL (the file cannot be read, or others may read it); err->msg
 * names the file. */
int jbi_tokens_load(jbi_tokens *t, const char *path, const jb_alloc *alloc, jb_error *err);

void jbi_tokens_fini(jbi_tokens *t);

/* The hash that stands for a token; false when OpenSSL has no memory for it. */
bool jbi_tokens_hash(jbi_slice token, uint8_t ret[JBI_TOKEN_HASH_BYTES]);

/* The line of a hash, or of a certificate's name, or NULL. */
const jbi_token *jbi_tokens_find(const jbi_tokens *t, const uint8_t hash[JBI_TOKEN_HASH_BYTES]);
const jbi_token *jbi_tokens_find_cert(const jbi_tokens *t, const char *name);

/* The bits for a list of words with commas; false when one is unknown or there is none. */
bool jbi_tokens_scopes(jbi_slice list, uint32_t *ret);

/* Whether it can be the name in a line. */
bool jbi_tokens_is_name(jbi_slice name);

#endif
