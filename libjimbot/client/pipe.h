/*
 * pipe: records of bytes from one thread to another, within a bound that is allocated at once.
 *
 * The writer claims room, fills it and commits; the reader pins what is there, looks at it in
 * place, and releases what it has done with. Neither waits, locks or allocates. A writer that finds
 * no room may drop the oldest record, unless the reader has it pinned.
 *
 * Invariant: places are counted in units of 8 bytes and only grow (modulo 2^32), tail <= pin <=
 * head. Bytes before `tail` are the writer's, from there to `head` the reader's; `tail` moves past
 * a record only by the reader when it is pinned, only by the writer when nothing is. Tail and pin
 * are one word, so that both sides agree which of the two it is.
 */
#ifndef JBI_CLIENT_PIPE_H
#define JBI_CLIENT_PIPE_H

#include "jimbot/base.h"

#include <stdatomic.h>

typedef struct jbi_pipe {
    const jb_alloc *alloc;
    uint8_t *data;
    uint32_t n_units;      /* a power of two */
    uint32_t claimed;      /* writer: place of the open claim */
    uint32_t claimed_next; /* writer: place after it */
    uint8_t _pad0[36];
    uint32_t pinned; /* reader: end of what it pinned last */
    uint8_t _pad3[60];
    _Atomic uint32_t head; /* writer: after the last record */
    uint8_t _pad1[60];
    _Atomic uint64_t ends; /* both: tail << 32 | pin */
    uint8_t _pad2[56];
} jbi_pipe;

/* cap_bytes is rounded up to a power of two. Returns 0 or JB_ENOMEM. */
int jbi_pipe_init(jbi_pipe *p, uint64_t cap_bytes, const jb_alloc *alloc);
void jbi_pipe_fini(jbi_pipe *p);

/* Largest record that always fits when the pipe is empty. */
uint32_t jbi_pipe_record_max(const jbi_pipe *p);

/* Writer. Room for one record, 8-byte aligned, or NULL. A new claim replaces one not committed. */
void *jbi_pipe_claim(jbi_pipe *p, uint32_t n_bytes);
void jbi_pipe_commit(jbi_pipe *p);

/* Writer. Drop the oldest record; false when there is none or the reader has it. */
bool jbi_pipe_drop(jbi_pipe *p);

/* Reader. Make all that is there its own, and return the place of the oldest record. */
uint32_t jbi_pipe_pin(jbi_pipe *p);

/* Reader, pinned. The record at a place, which is moved behind it; NULL at the end. */
void *jbi_pipe_next(jbi_pipe *p, uint32_t *place, uint32_t *ret_bytes);

/* Reader. Give back everything before a place, and the pin. */
void jbi_pipe_release(jbi_pipe *p, uint32_t place);

/* Either. Whether there is nothing, and how many bytes are taken. */
bool jbi_pipe_is_empty(const jbi_pipe *p);
uint64_t jbi_pipe_used(const jbi_pipe *p);

#endif
