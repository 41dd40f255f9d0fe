/*
 * proc_text.h: what Linux writes about a process's memory, read out of the text of /proc and of its
 * control group.
 *
 * Invariant: any bytes give a result or a refusal; nothing past `len_bytes` is read, and what is
 * written into a path can only lead below the folder it is put behind.
 */
#ifndef JBI_QUOTA_PROC_TEXT_H
#define JBI_QUOTA_PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jbi_proc_status {
    uint32_t parent_pid;
    uint64_t rss_bytes;
    uint64_t shared_bytes;
    uint64_t swap_bytes;
};

/* /proc/<pid>/status. A line that is not there counts as 0, as for a kernel's thread or a process
 * that has ended; false where a line that is there is not what it should be, or PPid is missing. */
bool jbi_proc_status_parse(const char *text, size_t len_bytes, struct jbi_proc_status *ret_status);

/* The group of version 2 in /proc/<pid>/cgroup: "/user.slice/x", "" for the uppermost. False when
 * it is in none, or in one that cannot be found below the folder of groups. */
bool jbi_proc_cgroup_parse(const char *text, size_t len_bytes, char *ret_path, size_t cap_bytes);

/* One amount: decimal digits, or "max" for UINT64_MAX, and the end of the line. */
bool jbi_cgroup_amount_parse(const char *text, size_t len_bytes, uint64_t *ret_amount);

#endif
