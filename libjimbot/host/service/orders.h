/*
 * orders: commands on their way to the bus, however they came.
 *
 * Invariant: a command reaches the bus only if jb_command_encode() takes it, on its own topic or,
 * when there is no room for that, on the one for those without.
 */
#ifndef JBI_HOST_ORDERS_H
#define JBI_HOST_ORDERS_H

#include "jimbot/command.h"

#include <jansson.h>

struct jbi_service;

/* Read the body of POST /api/v1/commands. Returns NULL, or what is wrong, static text. */
const char *jbi_orders_read(const json_t *root, jb_command *ret_command);

/* Send it, unless one with its id is among the last that were sent. Returns 0, 1 (there was one),
 * or as jb_bus_send_command() but for JB_ELIMIT. Of JB_EINVAL the rule says what is allowed. */
int jbi_orders_send(struct jbi_service *s, const jb_command *command);
extern const char *const jbi_orders_rule;

#endif
