/*
 * undo.h: a log of old words, so that whoever takes the lock from a dead owner can put everything
 * back.
 *
 * Invariant: between two commits every word of shared state that a step changes is in the log with
 * the value it had, before it changes. Who dies in the middle of a step leaves a log that leads
 * back to the last commit; who dies in the middle of rolling back leaves one that still does. Words
 * that nobody reads before another word points to them (a free slot, a record beyond the head) need
 * no log.
 *
 * The order of stores is the program's: a process is killed between two instructions, and its
 * finished stores are seen by whoever learns from the kernel that it is dead. So the compiler alone
 * has to be held back.
 *
 * State of one process alone has no log: nobody survives to read it.
 */
#ifndef JBI_QUOTA_UNDO_H
#define JBI_QUOTA_UNDO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JBI_UNDO_WORDS_MAX = 1024 }; /* of one step, between two commits */

struct jbi_undo_log {
    uint64_t n;
    struct {
        uint64_t word; /* its place in the block */
        uint64_t old;
    } entries[JBI_UNDO_WORDS_MAX];
};

struct jbi_undo {
    struct jbi_undo_log *log; /* NULL: nothing is logged */
    uint64_t *words;          /* the block */
    uint64_t n_words;
};

/* Change one word of the block. The caller holds the lock. */
static inline void jbi_undo_set(const struct jbi_undo *undo, uint64_t *word, uint64_t value)
{
    struct jbi_undo_log *log = undo->log;

    if (log) {
        uint64_t n = log->n;

        /* No step of ours is that long: somebody else wrote here, and without a log nothing is
         * changed. */
        if (n >= JBI_UNDO_WORDS_MAX)
            return;
        log->entries[n].word = (uint64_t)(word - undo->words);
        log->entries[n].old = *word;
        atomic_signal_fence(memory_order_seq_cst);
        log->n = n + 1;
        atomic_signal_fence(memory_order_seq_cst);
    }
    *word = value;
}

static inline void jbi_undo_add(const struct jbi_undo *undo, uint64_t *word, uint64_t value)
{
    jbi_undo_set(undo, word, *word + value);
}

/* What was done so far stays. The caller holds the lock and the state is consistent. */
static inline void jbi_undo_commit(const struct jbi_undo *undo)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (undo->log)
        undo->log->n = 0;
    atomic_signal_fence(memory_order_seq_cst);
}

/* Back to the last commit. The log comes from another process: a place outside the block, or inside
 * the log, is passed over. */
static inline void jbi_undo_roll_back(const struct jbi_undo *undo)
{
    struct jbi_undo_log *log = undo->log;
    uint64_t n;

    if (!log)
        return;
    n = log->n;
    if (n > JBI_UNDO_WORDS_MAX)
        n = JBI_UNDO_WORDS_MAX;
    while (n-- > 0) {
        uint64_t word = log->entries[n].word;

        if (word < undo->n_words)
            undo->words[word] = log->entries[n].old;
    }
    jbi_undo_commit(undo);
}

#endif
