/*
 * sniff: what a connection begins with: which protocol its first bytes choose.
 *
 * Invariant: no byte is lost: what was looked at goes to the protocol chosen.
 */
#ifndef JBI_HOST_SNIFF_H
#define JBI_HOST_SNIFF_H

#include "host/net/conn.h"

extern const jbi_protocol jbi_sniff;

#endif
