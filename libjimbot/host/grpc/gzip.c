/*
 * gzip: see gzip.h. zlib does the work, with memory of the host's allocator.
 */
#include "host/grpc/gzip.h"

#include "host/text/hmem.h"

#include <zlib.h>

enum { GZIP_WINDOW_BITS = 15 + 16, LEVEL = 1, STEP_BYTES = 16 * 1024 };

/* zlib frees without sizes, so each block tells its own. */
typedef union head {
    size_t n_bytes;
    max_align_t align;
} head;

static void *take(void *alloc, unsigned n_items, unsigned item_bytes)
{
    size_t n = sizeof(head) + (size_t)n_items * item_bytes;
    head *block = jbi_hmem_alloc(alloc, n);

    if (!block)
        return NULL;
    block->n_bytes = n;
    return block + 1;
}

static void give_back(void *alloc, void *p)
{
    head *block = (head *)p - 1;

    jbi_hmem_free(alloc, block, block->n_bytes);
}

int jbi_gzip_open(const char *bytes, size_t n, size_t max_bytes, jbi_htext *out)
{
    z_stream z = {.zalloc = take,
                  .zfree = give_back,
                  .opaque = (void *)(uintptr_t)out->alloc,
                  .next_in = (Bytef *)(uintptr_t)bytes,
                  .avail_in = (uInt)n};
    size_t start = out->len;
    int rc = inflateInit2(&z, GZIP_WINDOW_BITS);

    if (rc != Z_OK)
        return JB_ENOMEM;
    while (rc == Z_OK) {
        char *to = jbi_htext_reserve(out, STEP_BYTES);

        if (!to) {
            rc = Z_MEM_ERROR;
            break;
        }
        z.next_out = (Bytef *)to;
        z.avail_out = STEP_BYTES;
        rc = inflate(&z, Z_NO_FLUSH);
        out->len += STEP_BYTES - z.avail_out;
        if (out->len - start > max_bytes) {
            inflateEnd(&z);
            return JB_ETOOBIG;
        }
    }
    inflateEnd(&z);
    if (rc == Z_MEM_ERROR)
        return JB_ENOMEM;
    return rc == Z_STREAM_END && z.avail_in == 0 ? 0 : JB_EPARSE;
}

int jbi_gzip_close(jbi_htext *text, size_t at)
{
    size_t n = text->len - at;
    z_stream z = {.zalloc = take, .zfree = give_back, .opaque = (void *)(uintptr_t)text->alloc};
    jbi_htext out;
    char *to;
    int rc;

    if (text->is_broken || n > UINT32_MAX / 2 ||
        deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return JB_ENOMEM;
    jbi_htext_init(&out, text->alloc);
    to = jbi_htext_reserve(&out, deflateBound(&z, n));
    if (!to) {
        deflateEnd(&z);
        return JB_ENOMEM;
    }
    z.next_in = (Bytef *)(text->data + at);
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)out.cap;
    rc = deflate(&z, Z_FINISH);
    out.len = (size_t)z.total_out;
    deflateEnd(&z);
    if (rc == Z_STREAM_END) {
        text->len = at;
        jbi_htext_add(text, out.data, out.len);
    }
    jbi_htext_fini(&out);
    return rc == Z_STREAM_END ? 0 : JB_ENOMEM;
}
