/*
 * Whether a text is one JSON value, without making anything of it.
 *
 * Text in `extras` and in JSON-valued fields comes from publishers that may be anybody. Before such
 * text is copied into a document it must be shown that it cannot change the document around it.
 * Invariant: a text that passes is one value by RFC 8259, in
 * valid UTF-8, nested no deeper than asked.
 */
#ifndef JBI_SCHEMA_JSON_VALID_H
#define JBI_SCHEMA_JSON_VALID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JBI_JSON_DEPTH_MAX = 512,  /* deepest that can be asked for */
    JBI_EXTRA_DEPTH_MAX = 256, /* of JSON text inside an event: as deep as an encoder may read */
};

/*
 * Check a text nested at most max_depth deep. White space between tokens is fine; *ret_has_space
 * (may be NULL) says whether there is any, so that it can be left out when the text is copied.
 * Takes time proportional to the text, no recursion.
 */
bool jbi_json_valid(const char *text, size_t len_bytes, uint32_t max_depth, bool *ret_has_space);

#endif
