/*
 * table.h: rows of words in columns as wide as the widest word.
 *
 * Invariant: every row has one cell for each column; cells are clean text.
 */
#ifndef JIMBOTCTL_TABLE_H
#define JIMBOTCTL_TABLE_H

#include <stddef.h>
#include <stdio.h>

enum { TABLE_MARK = '\1' }; /* stands before a heading that is to stand out, see screen.h */

typedef struct table {
    const char *const *titles; /* one with a leading '>' has its cells on the right */
    size_t n_columns;
    char *text; /* the cells, each NUL-terminated */
    size_t len_bytes;
    FILE *cells;
} table;

/* Returns 0, or -1 when there is no memory. */
int table_begin(table *t, const char *const *titles, size_t n_columns);

/* Appends the next cell, row by row. */
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes the heading and the rows, and drops the table. */
void table_end(table *t, FILE *out, int is_marked);

/* Frees what table_begin() made, whether or not it succeeded. Twice is fine. */
void table_drop(table *t);

#endif
