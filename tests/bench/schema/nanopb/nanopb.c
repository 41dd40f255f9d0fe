/*
 * nanopb.c: nanopb on structs generated from the same files.
 *
 * Scalars and single messages lie in its structs; strings, lists and maps go through callbacks,
 * which is its way without an allocation, and its fastest. It does not look whether strings are
 * UTF-8.
 */
#include <pb_decode.h>

#include "../bench.h"

#include "event.pb.h"

static uint64_t sum;

static void integer(int64_t value)
{
    sum += (uint64_t)value;
}

static void real(double value)
{
    union {
        double value;
        uint64_t bits;
    } both = {value};

    sum += both.bits;
}

static bool text(pb_istream_t *in)
{
    uint8_t first = 0;

    sum += in->bytes_left;
    if (in->bytes_left != 0 && !pb_read(in, &first, 1))
        return false;
    sum += first;
    return pb_read(in, NULL, in->bytes_left);
}

static bool integers(pb_istream_t *in)
{
    uint64_t value;

    while (in->bytes_left != 0) {
        if (!pb_decode_varint(in, &value))
            return false;
        integer((int64_t)value);
    }
    return true;
}

static bool reals(pb_istream_t *in)
{
    double value;

    while (in->bytes_left != 0) {
        if (!pb_decode_fixed64(in, &value))
            return false;
        real(value);
    }
    return true;
}

#include "touch_nanopb.h"

static size_t prepare(const struct set *set)
{
    return set->event_bytes;
}

static void decode(const struct set *set)
{
    sum = 0;
    for (size_t i = 0; i < set->n_events; i++) {
        pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)set->events[i].data,
                                                 set->events[i].len_bytes);

        if (!message_Event(&in))
            die("nanopb refuses an event");
    }
    touched(set, sum);
}

const struct peer nanopb_touch = {"nanopb: decode, all touched", NULL, prepare, decode};
