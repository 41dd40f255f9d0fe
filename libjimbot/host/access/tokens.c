/*
 * tokens: see tokens.h.
 */
#include "host/access/tokens.h"

#include "host/http/scope.h"
#include "host/text/hmem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(jb_error *err, int code, unsigned line, const char *why)
{
    if (err) {
        jb_error_init(err);
        err->code = code;
        snprintf(err->msg, sizeof(err->msg), "%u: %s", line, why);
    }
    return code;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cut the next word off. */
static jbi_slice next_word(jbi_slice *line)
{
    jbi_slice word;

    while (line->len > 0 && is_blank(*line->data)) {
        line->data++;
        line->len--;
    }
    word = (jbi_slice){line->data, 0};
    while (word.len < line->len && !is_blank(word.data[word.len]))
        word.len++;
    line->data += word.len;
    line->len -= word.len;
    return word;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hash(jbi_slice word, uint8_t ret[JBI_TOKEN_HASH_BYTES])
{
    size_t i = 0;

    while (i < JBI_TOKEN_HASH_BYTES && word.len == 2 * JBI_TOKEN_HASH_BYTES) {
        int high = hex(word.data[2 * i]);
        int low = hex(word.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret[i++] = (uint8_t)(high << 4 | low);
    }
    return i == JBI_TOKEN_HASH_BYTES;
}

bool jbi_tokens_is_name(jbi_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] <= ' ' || name.data[i] >= 0x7f)
            return false;
    }
    return name.len > 0 && name.len < JBI_TOKEN_NAME_BYTES;
}

bool jbi_tokens_scopes(jbi_slice list, uint32_t *ret)
{
    static const char *const words[] = {"publish", "subscribe", "command", "admin", "resource"};
    uint32_t scopes = 0;

    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        jbi_slice word = {list.data, comma ? (size_t)(comma - list.data) : list.len};
        unsigned i = 0;

        while (i < 5 && !jbi_slice_is(word, words[i]))
            i++;
        if (i == 5 || (comma && word.len + 1 == list.len))
            return false;
        scopes |= 1u << i;
        list.data += word.len + (comma != NULL);
        list.len -= word.len + (comma != NULL);
    }
    *ret = scopes;
    return scopes != 0;
}

/* What is wrong with a line, or NULL and *ret is what it says. */
static const char *read_line(jbi_slice line, jbi_token *ret)
{
    jbi_slice first = next_word(&line);
    jbi_slice scopes = next_word(&line);
    jbi_slice name = next_word(&line);

    memset(ret, 0, sizeof(*ret));
    ret->is_cert = first.len > 3 && memcmp(first.data, "cn:", 3) == 0;
    if (!ret->is_cert && !read_hash(first, ret->hash))
        return "the first word is neither 64 hex digits nor cn:NAME";
    if (!jbi_tokens_scopes(scopes, &ret->scopes))
        return "the second word is no list of publish, subscribe, command, admin and resource";
    if (ret->is_cert && name.len > 0)
        return "too many words";
    if (ret->is_cert)
        name = (jbi_slice){first.data + 3, first.len - 3};
    if (!jbi_tokens_is_name(name))
        return "the name is missing, too long or not ASCII text";
    if (next_word(&line).len > 0)
        return "too many words";
    memcpy(ret->name, name.data, name.len);
    return NULL;
}

static const char *add(jbi_tokens *t, const jbi_token *token)
{
    if (token->is_cert ? jbi_tokens_find_cert(t, token->name) != NULL
                       : jbi_tokens_find(t, token->hash) != NULL)
        return "it stands in an earlier line too";
    if (t->n == JBI_TOKENS_MAX)
        return "too many lines";
    t->items[t->n++] = *token;
    t->has_certs |= token->is_cert;
    return NULL;
}

/* An upper bound of the lines that say something. */
static uint32_t count_lines(const char *text, size_t n)
{
    uint32_t lines = 1;

    for (size_t i = 0; i < n && lines < JBI_TOKENS_MAX; i++)
        lines += text[i] == '\n';
    return lines;
}

int jbi_tokens_parse(jbi_tokens *t, const char *text, size_t n, const jb_alloc *alloc,
                     jb_error *err)
{
    const char *why = NULL;
    unsigned number = 0;

    *t = (jbi_tokens){.alloc = alloc, .cap = count_lines(text, n)};
    t->items = jbi_hmem_alloc(alloc, t->cap * sizeof(*t->items));
    if (!t->items)
        return refuse(err, JB_ENOMEM, 0, jb_strerror(JB_ENOMEM));
    for (const char *end = text + n; text < end && !why;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        jbi_slice line = {text, (size_t)((stop ? stop : end) - text)};
        jbi_slice rest = line;
        jbi_token token;

        text = stop ? stop + 1 : end;
        number++;
        if (line.len > 0 && line.data[line.len - 1] == '\r')
            line.len = --rest.len;
        if (next_word(&rest).len == 0 || *line.data == '#')
            continue;
        why = read_line(line, &token);
        if (!why)
            why = add(t, &token);
    }
    if (!why)
        return 0;
    jbi_tokens_fini(t);
    return refuse(err, JB_EPARSE, number, why);
}

void jbi_tokens_fini(jbi_tokens *t)
{
    jbi_hmem_free(t->alloc, t->items, t->cap * sizeof(*t->items));
    *t = (jbi_tokens){.alloc = t->alloc};
}

/* Whether the open file is one that only we can have written and read. */
static const char *examine(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "it is no file";
    if (st->st_uid != geteuid())
        return "it belongs to another user";
    if (st->st_mode & 077)
        return "others may read or write it: chmod 600";
    if (st->st_size > JBI_TOKENS_FILE_BYTES)
        return "it is too large";
    return NULL;
}

static int blame(jb_error *err, const char *path, const char *why)
{
    if (err) {
        jb_error_init(err);
        err->code = JB_EINVAL;
        snprintf(err->msg, sizeof(err->msg), "%.120s: %.100s", path, why);
    }
    return JB_EINVAL;
}

/* Read to the end or to `cap`; -1 when that fails. */
static ssize_t read_all(int fd, char *to, size_t cap)
{
    size_t n = 0;
    ssize_t got = 1;

    while (n < cap && got > 0) {
        got = read(fd, to + n, cap - n);
        if (got < 0 && errno != EINTR)
            return -1;
        n += got > 0 ? (size_t)got : 0;
        got = got < 0 ? 1 : got;
    }
    return (ssize_t)n;
}

static int load_open(jbi_tokens *t, int fd, const char *path, jb_error *err)
{
    const jb_alloc *alloc = t->alloc;
    struct stat st;
    const char *why = fstat(fd, &st) < 0 ? strerror(errno) : examine(&st);
    jb_error inner;
    ssize_t n;
    char *text;
    int rc;

    if (why)
        return blame(err, path, why);
    text = jbi_hmem_alloc(alloc, (size_t)st.st_size + 1);
    if (!text)
        return blame(err, path, jb_strerror(JB_ENOMEM));
    n = read_all(fd, text, (size_t)st.st_size + 1);
    rc = n < 0 ? JB_ESYS : jbi_tokens_parse(t, text, (size_t)n, alloc, &inner);
    if (n < 0)
        rc = blame(err, path, strerror(errno));
    else if (rc < 0 && err) {
        jb_error_init(err);
        err->code = rc;
        snprintf(err->msg, sizeof(err->msg), "%.120s:%.100s", path, inner.msg);
    }
    jbi_hmem_free(alloc, text, (size_t)st.st_size + 1);
    return rc;
}

int jbi_tokens_load(jbi_tokens *t, const char *path, const jb_alloc *alloc, jb_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int rc;

    *t = (jbi_tokens){.alloc = alloc};
    if (fd < 0)
        return blame(err, path, strerror(errno));
    rc = load_open(t, fd, path, err);
    close(fd);
    return rc;
}

bool jbi_tokens_hash(jbi_slice token, uint8_t ret[JBI_TOKEN_HASH_BYTES])
{
    return SHA256((const unsigned char *)token.data, token.len, ret) != NULL;
}

const jbi_token *jbi_tokens_find(const jbi_tokens *t, const uint8_t hash[JBI_TOKEN_HASH_BYTES])
{
    const jbi_token *found = NULL;

    for (uint32_t i = 0; i < t->n; i++) {
        if (CRYPTO_memcmp(t->items[i].hash, hash, JBI_TOKEN_HASH_BYTES) == 0 &&
            !t->items[i].is_cert)
            found = &t->items[i];
    }
    return found;
}

const jbi_token *jbi_tokens_find_cert(const jbi_tokens *t, const char *name)
{
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->items[i].is_cert && strcmp(t->items[i].name, name) == 0)
            return &t->items[i];
    }
    return NULL;
}
