/*
 * simdjson.cpp: simdjson's DOM parser over the same bytes. It makes a tape and looks at every
 * value, and nothing is done with them.
 */
#include <simdjson.h>

#include "bench.h"

static_assert(BENCH_PADDING >= simdjson::SIMDJSON_PADDING, "room after a text");

static simdjson::dom::parser parser;

static size_t prepare(const struct set *set)
{
    return set->body_bytes;
}

static void work(const struct set *set)
{
    for (size_t i = 0; i < set->n_bodies; i++) {
        if (parser.parse(set->bodies[i].data, set->bodies[i].len_bytes, false).error())
            die("simdjson refuses a body");
    }
}

extern "C" const struct peer simdjson_dom = {"simdjson: DOM parse", nullptr, prepare, work};
