/*
 * What is not sorted by number alone: the entries of a map, and the overrides that name them.
 *
 * An Extra can name an entry of a map by its place, and places change when entries are sorted; so
 * both are done by the same hand. Invariant: an override stands for the same entry as before.
 */
#ifndef JBI_SCHEMA_CANONICAL_MAP_H
#define JBI_SCHEMA_CANONICAL_MAP_H

#include "schema/canonical.h"
#include "schema/schema_tables.h"

/* The entries items[i] to items[end] of a map. */
void jbi_canonical_map(struct jbi_canonical *c, const struct jbi_field_info *f, size_t i,
                       size_t end);

/* The Extras items[i] to items[end] of a message whose items begin at `first`. */
void jbi_canonical_extras(struct jbi_canonical *c, const struct jbi_message *message, size_t first,
                          size_t i, size_t end);

/* --- lent by canonical.c --- */

/* The content of the field whose place is in an item. */
jbi_wire jbi_canonical_content(const struct jbi_canonical *c, uint64_t item);

/* The end of the items of the same field as items[i]. */
size_t jbi_canonical_run(const struct jbi_canonical *c, size_t i, size_t end);

/* Take a piece of a message apart. */
void jbi_canonical_collect(struct jbi_canonical *c, const struct jbi_message *message, jbi_wire in);

/* Length and content of the message that was taken apart from items[first] on; guess: about how
 * long it will be. */
void jbi_canonical_message(struct jbi_canonical *c, const struct jbi_message *message, size_t first,
                           size_t guess);

/* A length is written before it is known: one of `guess` to begin with, the right one at the
 * end. */
size_t jbi_canonical_length_open(struct jbi_canonical *c, size_t guess);
void jbi_canonical_length_close(struct jbi_canonical *c, size_t begin, size_t guess);

/* The value at a cursor, or a text with its length. */
void jbi_canonical_value(struct jbi_canonical *c, const struct jbi_field_info *f, jbi_wire in);
void jbi_canonical_text(struct jbi_canonical *c, jbi_wire text);

#endif
