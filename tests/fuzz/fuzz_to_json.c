/*
 * Bytes that claim to be an event, as JSON of every dialect.
 *
 * What must hold: the length does not depend on the room; nothing is written past the room; what
 * comes out is one valid JSON value; and what jb_event_inspect() accepts can be written.
 */
#include <stdlib.h>
#include <string.h>

#include "jimbot/schema.h"
#include "schema/json_valid.h"
#include "target.h"

static void check_dialect(uint32_t dialect, const uint8_t *data, size_t size)
{
    jb_encoded encoded;
    int64_t need = jb_event_to_json_as(dialect, data, size, NULL, 0, NULL);
    size_t len = need > 0 ? (size_t)need : 0;
    char *text;

    require(need == JB_EPROTO || need == JB_EEVENT || need >= 2);
    if (jb_event_inspect(data, size, &encoded, NULL) == 0)
        require(need >= 2 || (need == JB_EEVENT && encoded.type != JB_EVENT_GAME_STATE));
    if (need < 0)
        return;
    /* Allocated exactly, so that a sanitizer sees a byte too many; the half-sized one must not be
     * overrun either. */
    text = malloc(len);
    require(jb_event_to_json_as(dialect, data, size, text, len, NULL) == need);
    require(jbi_json_valid(text, len, JBI_JSON_DEPTH_MAX, NULL));
    free(text);
    text = malloc(len / 2);
    require(jb_event_to_json_as(dialect, data, size, text, len / 2, NULL) == need);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (uint32_t dialect = 0; jb_dialect_name(dialect) != NULL; dialect++)
        check_dialect(dialect, data, size);
    return 0;
}
