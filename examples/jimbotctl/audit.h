/*
 * audit.h: the audit log of a coordinator, recomputed.
 *
 * Invariant: what is not proved by the log is complained about, never assumed.
 */
#ifndef JIMBOTCTL_AUDIT_H
#define JIMBOTCTL_AUDIT_H

/* Reads the log and says what is wrong in it. Returns an exit code. */
int audit_check(const char *path);

#endif
