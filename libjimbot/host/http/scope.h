/*
 * scope: what a caller may do, as bits, and what is said to one who may not.
 *
 * Invariant: the numbers are this program's own; files and messages name scopes by their words.
 */
#ifndef JBI_HOST_SCOPE_H
#define JBI_HOST_SCOPE_H

enum jbi_scope {
    JBI_SCOPE_NONE = 0,            /* for everybody */
    JBI_SCOPE_PUBLISH = 1u << 0,   /* events in */
    JBI_SCOPE_SUBSCRIBE = 1u << 1, /* events out */
    JBI_SCOPE_COMMAND = 1u << 2,   /* commands to the game, and the game's poll for them */
    JBI_SCOPE_ADMIN = 1u << 3,     /* figures about all topics and clients */
    JBI_SCOPE_RESOURCE = 1u << 4,  /* leases and rates */
    JBI_SCOPE_ALL = (1u << 5) - 1
};

/* What the gate says. */
enum jbi_verdict {
    JBI_GATE_OPEN = 0,
    JBI_GATE_UNKNOWN = 1,   /* nobody known: 401 */
    JBI_GATE_FORBIDDEN = 2, /* known, without the scope: 403 */
    JBI_GATE_HOST = 3,      /* the name in Host is none of ours: 403 */
    JBI_GATE_ORIGIN = 4,    /* a page of another site: 403 */
    JBI_GATE_BUSY = 5,      /* more than rate_limit: 429 */
    JBI_GATE_VERDICTS = 6
};

#endif
