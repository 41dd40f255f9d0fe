/**
 * jimbot/command.h: commands to the game, as events and back.
 */
#ifndef JIMBOT_COMMAND_H
#define JIMBOT_COMMAND_H

#include "jimbot/event.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A command to the game, as an event: type COMMAND, topic "command.<name>".
 */
typedef struct jb_command {
    char name[48];     /**< "play_hand"; letters, digits, `_`, NUL-terminated */
    char id[64];       /**< correlation id or "" */
    uint32_t n_params; /**< how many of params[] are used, at most 8 */
    uint32_t _reserved;
    char params[8][48]; /**< printable text without `,`, `:` or line ends, NUL-terminated */
} jb_command;

/**
 * Encode a command as a serialised jimbot.v1.Event.
 *
 * @param buf        where to write.   @param cap_bytes  1024 is always enough.
 *
 * @return length written, or JB_EINVAL (a name or parameter with forbidden characters), JB_ENOBUFS.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int64_t jb_command_encode(const jb_command *command, uint8_t *buf, size_t cap_bytes);

/**
 * Decode a command event.
 *
 * @return 0, or JB_EPROTO (malformed), JB_EEVENT (an event of another type, or a name or parameter
 * out of bounds).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_command_decode(const void *data, size_t len_bytes, jb_command *ret_command);

#ifdef __cplusplus
}
#endif
#endif
