/*
 * cmdq: commands waiting for the game's next poll, as the lines it will read.
 *
 * Invariant: lines leave in the order they came, each once; when a line finds no room the oldest
 * goes and `n_dropped` grows, because a game that does not poll wants the newest orders, not the
 * first.
 */
#ifndef JBI_HOST_CMDQ_H
#define JBI_HOST_CMDQ_H

#include "host/text/htext.h"
#include "jimbot/schema.h"

/* name ':' 8 parameters with 7 commas: 47 + 1 + 8 * 47 + 7, and the line end */
enum { JBI_CMDQ_LINE_BYTES = 432 };

typedef struct jbi_cmdq_line {
    uint32_t len_bytes;
    char text[JBI_CMDQ_LINE_BYTES];
} jbi_cmdq_line;

typedef struct jbi_cmdq {
    const jb_alloc *alloc;
    jbi_cmdq_line *lines;
    uint32_t n_max;
    uint32_t n;  /* waiting */
    uint32_t at; /* the oldest */
    uint64_t n_pushed;
    uint64_t n_popped;
    uint64_t n_dropped;
} jbi_cmdq;

int jbi_cmdq_init(jbi_cmdq *q, uint32_t n_max, const jb_alloc *alloc);
void jbi_cmdq_fini(jbi_cmdq *q);

/* Append a command as `name` or `name:p1,p2`. Returns whether an older one had to go. */
bool jbi_cmdq_push(jbi_cmdq *q, const jb_command *command);

/* Write whole lines into text, at most max_bytes of them, oldest first, and return how many. They
 * stay until jbi_cmdq_pop(). */
uint32_t jbi_cmdq_peek(const jbi_cmdq *q, jbi_htext *text, size_t max_bytes);

/* Take the n oldest lines. */
void jbi_cmdq_pop(jbi_cmdq *q, uint32_t n);

#endif
