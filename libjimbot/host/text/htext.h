/*
 * htext: a growing piece of text that an answer is written into.
 *
 * Invariant: a failed allocation sticks (`is_broken`), so a writer may ignore results and look once
 * at the end; `len <= cap` always, and the bytes before `len` are what was appended.
 */
#ifndef JBI_HOST_HTEXT_H
#define JBI_HOST_HTEXT_H

#include "jimbot/base.h"

typedef struct jbi_htext {
    const jb_alloc *alloc;
    char *data;
    size_t len;
    size_t cap;
    bool is_broken;
} jbi_htext;

void jbi_htext_init(jbi_htext *t, const jb_alloc *alloc);
void jbi_htext_fini(jbi_htext *t);

/* Forget the contents, and the memory too when it is more than keep_bytes. */
void jbi_htext_reset(jbi_htext *t, size_t keep_bytes);

/* How much memory it takes with n more bytes; SIZE_MAX when there cannot be so much. */
size_t jbi_htext_cap_for(const jbi_htext *t, size_t n);

/* Make room for n more bytes and return where they go, NULL when there is none. */
char *jbi_htext_reserve(jbi_htext *t, size_t n);

void jbi_htext_add(jbi_htext *t, const char *bytes, size_t n);
void jbi_htext_str(jbi_htext *t, const char *s);
void jbi_htext_u64(jbi_htext *t, uint64_t v);
void jbi_htext_printf(jbi_htext *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; bytes that are not ASCII pass through, because every text of ours
 * is UTF-8 already. */
void jbi_htext_json(jbi_htext *t, const char *s, size_t n);

/* The same of a text that may hold anything: what is not printable ASCII becomes `?`. */
void jbi_htext_ascii(jbi_htext *t, const char *s);

/* The word for an enum jb_sub_policy. */
const char *jbi_htext_policy(uint32_t policy);

#endif
