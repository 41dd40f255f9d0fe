/*
 * text.h: text for people and for programs.
 *
 * Invariant: what a function here makes out of untrusted bytes holds no control character, no
 * character without a width, and nothing that is not valid in the terminal's encoding.
 */
#ifndef JIMBOTCTL_TEXT_H
#define JIMBOTCTL_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A short text by value, so that a call can stand among the arguments of printf(). */
typedef struct label {
    char text[24];
} label;

/* Untrusted text made fit for a terminal: at most 144 bytes of it, each at most 4 wide. */
typedef struct clean {
    char text[144 * 4 + 1];
} clean;

clean clean_text(const char *text);

/* The same of any length, with backslashes as they are. */
void put_clean(FILE *out, const char *text);

/* Columns of a text that is clean. */
size_t text_width(const char *text);

/* The longest beginning of a clean text that is at most n_columns wide, in bytes. */
size_t text_clip(const char *text, size_t len_bytes, size_t n_columns);

label human_bytes(double n_bytes); /* "1.5 MiB" */
label human_count(double n);       /* "12345", "1.23M" */
label human_age(uint64_t ns);      /* "2m 5s" */
label human_percent(uint64_t part, uint64_t whole);
label clock_time(uint64_t utc_ns); /* local time of day, to the microsecond */

const char *policy_name(uint32_t policy, uint32_t flags); /* enum jb_sub_policy */

/* A JSON string of untrusted text, quotes included. */
void put_json_string(FILE *out, const char *text);

/* JSON text as it is, except that what is not printable is escaped: the same value. */
void put_json(FILE *out, const char *text, size_t len_bytes);

#endif
