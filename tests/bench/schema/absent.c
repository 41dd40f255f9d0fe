/*
 * absent.c: peers whose library was not there when this was configured: each is a word in the
 * table, so that nobody takes a missing line for a forgotten one.
 */
#include "bench.h"

#ifndef HAVE_SIMDJSON
const struct peer simdjson_dom = {.name = "simdjson: DOM parse",
                                  .word = "skipped: built without libsimdjson-dev"};
#endif
#ifndef HAVE_PROTOBUF
static const char no_protobuf[] = "skipped: built without libprotobuf-dev";

const struct peer protobuf_from_json = {.name = "protobuf C++: JsonStringToMessage",
                                        .word = no_protobuf};
const struct peer protobuf_to_json = {.name = "protobuf C++: MessageToJsonString",
                                      .word = no_protobuf};
const struct peer protobuf_decode = {.name = "protobuf C++: parse into an arena",
                                     .word = no_protobuf};
const struct peer protobuf_touch = {.name = "protobuf C++: arena, all touched",
                                    .word = no_protobuf};
#endif
