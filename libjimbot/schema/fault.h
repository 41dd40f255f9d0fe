/*
 * Where in an event a byte lies, in words: "game_state.hand[3].rank".
 */
#ifndef JBI_SCHEMA_FAULT_H
#define JBI_SCHEMA_FAULT_H

#include "schema/wire.h"

/*
 * Write the path of the innermost field, as far as the bytes are sound, that `offset` lies in, with
 * protobuf's names; "event" for the event itself. Of a map the number of the entry is named.
 * Returns buf, NUL-terminated. Takes one walk over the event.
 */
const char *jbi_fault_path(jbi_wire event, size_t offset, char *buf, size_t cap_bytes);

#endif
