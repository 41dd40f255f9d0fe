/*
 * htext: see htext.h. Growth doubles, so appending is linear over all; the smallest block is 512
 * bytes because an answer rarely is shorter than its header.
 */
#include "host/text/htext.h"

#include "host/text/hmem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *libc_alloc(size_t n, void *ctx)
{
    return malloc(n);
}

static void *libc_realloc(void *p, size_t old, size_t n, void *ctx)
{
    return realloc(p, n);
}

static void libc_free(void *p, size_t n, void *ctx)
{
    free(p);
}

const jb_alloc jbi_hmem_libc = {libc_alloc, libc_realloc, libc_free, NULL};

void jbi_htext_init(jbi_htext *t, const jb_alloc *alloc)
{
    *t = (jbi_htext){.alloc = alloc};
}

void jbi_htext_fini(jbi_htext *t)
{
    jbi_hmem_free(t->alloc, t->data, t->cap);
    jbi_htext_init(t, t->alloc);
}

void jbi_htext_reset(jbi_htext *t, size_t keep_bytes)
{
    if (t->cap > keep_bytes)
        jbi_htext_fini(t);
    t->len = 0;
    t->is_broken = false;
}

size_t jbi_htext_cap_for(const jbi_htext *t, size_t n)
{
    size_t cap = t->cap ? t->cap : 512;

    if (n > SIZE_MAX / 4 - t->len)
        return SIZE_MAX;
    if (t->len + n <= t->cap)
        return t->cap;
    while (cap < t->len + n)
        cap *= 2;
    return cap;
}

char *jbi_htext_reserve(jbi_htext *t, size_t n)
{
    size_t cap = jbi_htext_cap_for(t, n);
    char *data;

    if (t->is_broken || cap == SIZE_MAX)
        goto out_broken;
    if (cap == t->cap)
        return t->data + t->len;
    data =
        t->data ? jbi_hmem_realloc(t->alloc, t->data, t->cap, cap) : jbi_hmem_alloc(t->alloc, cap);
    if (!data)
        goto out_broken;
    t->data = data;
    t->cap = cap;
    return t->data + t->len;

out_broken:
    t->is_broken = true;
    return NULL;
}

void jbi_htext_add(jbi_htext *t, const char *bytes, size_t n)
{
    char *to;

    if (n == 0)
        return;
    to = jbi_htext_reserve(t, n);
    if (!to)
        return;
    memcpy(to, bytes, n);
    t->len += n;
}

void jbi_htext_str(jbi_htext *t, const char *s)
{
    jbi_htext_add(t, s, strlen(s));
}

void jbi_htext_u64(jbi_htext *t, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    jbi_htext_add(t, digits + at, sizeof(digits) - at);
}

void jbi_htext_printf(jbi_htext *t, const char *fmt, ...)
{
    va_list args;
    char *to;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    to = jbi_htext_reserve(t, (size_t)n + 1);
    if (!to)
        return;
    va_start(args, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, args);
    va_end(args);
    t->len += (size_t)n;
}

static void json_escape(jbi_htext *t, unsigned char c)
{
    if (c == '"' || c == '\\')
        jbi_htext_add(t, (char[2]){'\\', (char)c}, 2);
    else
        jbi_htext_printf(t, "\\u%04x", c);
}

void jbi_htext_json(jbi_htext *t, const char *s, size_t n)
{
    size_t plain = 0;

    jbi_htext_add(t, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
            continue;
        jbi_htext_add(t, s + plain, i - plain);
        json_escape(t, c);
        plain = i + 1;
    }
    jbi_htext_add(t, s + plain, n - plain);
    jbi_htext_add(t, "\"", 1);
}

void jbi_htext_ascii(jbi_htext *t, const char *s)
{
    jbi_htext_add(t, "\"", 1);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            json_escape(t, (unsigned char)*s);
        else
            jbi_htext_add(t, *s >= 0x20 && *s < 0x7f ? s : "?", 1);
    }
    jbi_htext_add(t, "\"", 1);
}

const char *jbi_htext_policy(uint32_t policy)
{
    static const char *const words[] = {"lossless", "latest", "conflate"};

    return policy < sizeof(words) / sizeof(*words) ? words[policy] : "unknown";
}
