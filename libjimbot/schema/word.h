/*
 * Words of enums that came lately, so that one that comes again needs no look-up.
 *
 * Invariant: a word is known by its bytes and its enum, and a number is remembered only for a text
 * that is written back as it came; so what is remembered changes no result.
 */
#ifndef JBI_SCHEMA_WORD_H
#define JBI_SCHEMA_WORD_H

#include "schema/schema_tables.h"
#include "schema/short.h"

enum { JBI_WORD_BYTES = 8, JBI_WORD_BITS = 8, JBI_WORDS = 1 << JBI_WORD_BITS };

struct jbi_word {
    const struct jbi_enum *enumeration;
    uint64_t bytes; /* the word in the upper ones, the first lowest; below it 0 */
    int32_t number; /* that it spells in the dialect's own way, or 0 */
};

/* The number that a text spells in the dialect's own way, 0 when it does not. */
static inline int32_t jbi_word_look_up(const struct jbi_enum *e, const char *text, size_t n)
{
    const struct jbi_enum_spelling *word = jbi_enum_by_text(e, text, n);

    return word != NULL && word->is_canonical ? word->number : 0;
}

/* The same for a word of 1 to JBI_WORD_BYTES, of which none is 0, from memory. */
static inline int32_t jbi_word_number(struct jbi_word words[JBI_WORDS], const struct jbi_enum *e,
                                      uint64_t bytes, const char *text, size_t n)
{
    struct jbi_word *slot =
        &words[(bytes ^ (uint64_t)(uintptr_t)e) * JBI_SPREAD >> (64 - JBI_WORD_BITS)];

    if (slot->bytes != bytes || slot->enumeration != e)
        *slot = (struct jbi_word){e, bytes, jbi_word_look_up(e, text, n)};
    return slot->number;
}

#endif
