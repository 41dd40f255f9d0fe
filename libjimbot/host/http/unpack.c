/*
 * unpack: see unpack.h. Which codings there are is a matter of the build.
 */
#include "host/http/unpack.h"

#ifdef JBI_HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef JBI_HAVE_ZSTD
#include <zstd.h>
#endif

enum { STEP_BYTES = 64 * 1024 };

/* What became of a body; the texts are for its sender. */
enum unpacked { UNPACK_DONE, UNPACK_BROKEN, UNPACK_TOO_LARGE, UNPACK_NO_MEMORY };

/* Room for the next step, at most one byte beyond the limit, by which it is seen. */
static size_t reserve(jbi_htext *room, size_t max_bytes, char **ret_to)
{
    size_t left = max_bytes + 1 - room->len;
    size_t n = left < STEP_BYTES ? left : STEP_BYTES;

    *ret_to = jbi_htext_reserve(room, n);
    return *ret_to ? n : 0;
}

#ifdef JBI_HAVE_ZLIB
/* One file of gzip may be several, one after the other. */
static enum unpacked gunzip_all(z_stream *z, size_t max_bytes, jbi_htext *room)
{
    int rc = Z_OK;

    while (z->avail_in > 0 || rc != Z_STREAM_END) {
        char *to;
        size_t n = reserve(room, max_bytes, &to);

        if (n == 0)
            return UNPACK_NO_MEMORY;
        if (rc == Z_STREAM_END && inflateReset(z) != Z_OK)
            return UNPACK_BROKEN;
        z->next_out = (Bytef *)to;
        z->avail_out = (uInt)n;
        rc = inflate(z, Z_NO_FLUSH);
        room->len += n - z->avail_out;
        if (room->len > max_bytes)
            return UNPACK_TOO_LARGE;
        if (rc == Z_MEM_ERROR)
            return UNPACK_NO_MEMORY;
        if (rc != Z_OK && rc != Z_STREAM_END)
            return UNPACK_BROKEN;
    }
    return UNPACK_DONE;
}

static enum unpacked gunzip(const jbi_call *call, size_t max_bytes, jbi_htext *room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)call->body, .avail_in = (uInt)call->body_bytes};
    enum unpacked done;

    if (inflateInit2(&z, MAX_WBITS + 16) != Z_OK)
        return UNPACK_NO_MEMORY;
    done = gunzip_all(&z, max_bytes, room);
    inflateEnd(&z);
    return done;
}
#endif

#ifdef JBI_HAVE_ZSTD
/* The largest window: that of 8 MiB, which every decoder should take (RFC 8878). */
enum { ZSTD_WINDOW_LOG = 23 };

static enum unpacked unzstd_all(ZSTD_DStream *d, const jbi_call *call, size_t max_bytes,
                                jbi_htext *room)
{
    ZSTD_inBuffer in = {.src = call->body, .size = call->body_bytes};
    size_t rc = 1;

    /* 0 says that a frame is at its end and all of it is out. */
    while (in.pos < in.size || rc != 0) {
        ZSTD_outBuffer out = {.pos = 0};
        size_t pos = in.pos;
        char *to;

        out.size = reserve(room, max_bytes, &to);
        if (out.size == 0)
            return UNPACK_NO_MEMORY;
        out.dst = to;
        rc = ZSTD_decompressStream(d, &out, &in);
        if (ZSTD_isError(rc))
            return UNPACK_BROKEN;
        room->len += out.pos;
        if (room->len > max_bytes)
            return UNPACK_TOO_LARGE;
        /* It wants more than there is. */
        if (rc != 0 && in.pos == in.size && pos == in.pos && out.pos == 0)
            return UNPACK_BROKEN;
    }
    return UNPACK_DONE;
}

static enum unpacked unzstd(const jbi_call *call, size_t max_bytes, jbi_htext *room)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    enum unpacked done = UNPACK_NO_MEMORY;

    if (d && !ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
        done = unzstd_all(d, call, max_bytes, room);
    ZSTD_freeDStream(d);
    return done;
}
#endif

typedef enum unpacked (*unpack_fn)(const jbi_call *call, size_t max_bytes, jbi_htext *room);

static unpack_fn find(const jbi_fields *f)
{
    if (f->repeated & 1u << JBI_FIELD_CONTENT_ENCODING)
        return NULL;
#ifdef JBI_HAVE_ZLIB
    if (jbi_fields_is(f, JBI_FIELD_CONTENT_ENCODING, "gzip") ||
        jbi_fields_is(f, JBI_FIELD_CONTENT_ENCODING, "x-gzip"))
        return gunzip;
#endif
#ifdef JBI_HAVE_ZSTD
    if (jbi_fields_is(f, JBI_FIELD_CONTENT_ENCODING, "zstd"))
        return unzstd;
#endif
    return NULL;
}

static void refuse(enum unpacked why, jbi_answer *answer)
{
    if (why == UNPACK_TOO_LARGE) {
        jbi_answer_error(answer, 413, "the body is too large when it is unpacked");
    } else if (why == UNPACK_BROKEN) {
        jbi_answer_error(answer, 400, "the body is not what Content-Encoding says, or cut short");
    } else {
        jbi_answer_error(answer, 503, "no memory to unpack the body");
        answer->retry_after_s = 1;
    }
}

bool jbi_unpack(const jbi_call *call, size_t max_bytes, jbi_htext *room, jbi_call *ret_plain,
                jbi_answer *answer)
{
    enum unpacked done;
    unpack_fn fn;
    size_t n;

    *ret_plain = *call;
    if (call->body_bytes == 0 || !jbi_fields_get(call->fields, JBI_FIELD_CONTENT_ENCODING, &n) ||
        n == 0 || jbi_fields_is(call->fields, JBI_FIELD_CONTENT_ENCODING, "identity"))
        return true;
    fn = find(call->fields);
    if (!fn) {
        jbi_answer_error(answer, 415,
                         "the codings of bodies here are gzip and zstd, one at a time");
        answer->fields = "Accept-Encoding: gzip, zstd\r\n";
        return false;
    }
    jbi_htext_reset(room, STEP_BYTES);
    done = fn(call, max_bytes, room);
    if (done != UNPACK_DONE) {
        refuse(done, answer);
        return false;
    }
    ret_plain->body = room->len ? room->data : "";
    ret_plain->body_bytes = room->len;
    return true;
}
