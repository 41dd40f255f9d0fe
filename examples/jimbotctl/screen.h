/*
 * screen.h: a terminal as a screen that is drawn anew every while; or, where there is no terminal,
 * frames one after the other.
 *
 * Invariant: whatever ends the program by its own will or by a signal it can catch, the terminal is
 * as it was before.
 */
#ifndef JIMBOTCTL_SCREEN_H
#define JIMBOTCTL_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct screen {
    bool is_live;  /* false: plain frames */
    bool is_raw;   /* the terminal gives single keys, and is to be set back */
    bool has_keys; /* false when there are none, or no more */
    uint32_t n_rows;
    uint32_t n_columns;
} screen;

enum screen_why { SCREEN_TIME, SCREEN_REDRAW, SCREEN_QUIT };

/* Begins; SIGINT, SIGTERM and SIGHUP, and the key q, come out of screen_wait(). */
void screen_begin(screen *s);
void screen_end(screen *s);

/* Shows lines of clean text; one that begins with TABLE_MARK stands out. What does not fit is cut.
 * Returns 0, or -1 when it cannot be written (errno says why). */
int screen_draw(screen *s, const char *text, size_t len_bytes);

/* Waits until a moment on jb_clock_now_ns(), for a key, or for a signal. */
enum screen_why screen_wait(screen *s, uint64_t until_ns);

#endif
