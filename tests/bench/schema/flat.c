/*
 * See flat.h. Invariant: an input is read once before it is measured, so no figure has the growth
 * of a buffer in it.
 */
#include "flat.h"

#include <stdlib.h>

#include "bench.h"
#include "jimbot/schema.h"
#include "shapes.h"

enum { TURNS = 5, EVENT_BYTES = 1 << 20 };

static const size_t sizes[] = {1 << 10, 16 << 10, 256 << 10, 1 << 20, 16 << 20, 100 << 20};

enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

static double ns_per_byte(const struct shape *shape, jb_encoder *encoder, char *bytes,
                          size_t n_bytes)
{
    size_t n = shape->write(bytes, n_bytes);

    if (!shape_read(shape, encoder, bytes, n))
        die(shape->name);
    return shape_ns(shape, encoder, bytes, n, TURNS) / (double)n;
}

static void run(const struct shape *shape, jb_encoder *encoder, char *bytes, bool has_table,
                FILE *json)
{
    if (has_table)
        printf("  %-26s", shape->name);
    for (int i = 0; i < N_SIZES && (shape->is_batch || sizes[i] <= EVENT_BYTES); i++) {
        double ns = ns_per_byte(shape, encoder, bytes, sizes[i]);

        if (has_table)
            printf(" %7.2f", ns);
        if (json != NULL)
            fprintf(json,
                    "{\"name\":\"schema.flat\",\"what\":\"%s\",\"bytes\":%zu,"
                    "\"ns_per_byte\":%.3f}\n",
                    shape->name, sizes[i], ns);
        fflush(stdout);
    }
    if (has_table)
        putchar('\n');
}

void flat_run(bool has_table, FILE *json)
{
    jb_encoder *encoder = shape_encoder();
    char *bytes = malloc(sizes[N_SIZES - 1]);

    if (encoder == NULL || bytes == NULL)
        die("no memory for the largest input");
    if (has_table)
        printf("\nflat: nanoseconds a byte\n  %-26s %7s %7s %7s %7s %7s %7s\n", "", "1 KiB",
               "16 KiB", "256 KiB", "1 MiB", "16 MiB", "100 MiB");
    for (size_t s = 0; s < n_shapes; s++)
        run(&shapes[s], encoder, bytes, has_table, json);
    free(bytes);
    jb_encoder_destroy(encoder);
}
