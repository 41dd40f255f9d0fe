/*
 * table.c: see table.h. Cells are collected first, since the last row may be the widest.
 *
 * Invariant: no line ends in white space, so that a terminal as wide as the words is wide enough.
 */
#include "table.h"

#include "text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { N_COLUMNS_MAX = 16 };

int table_begin(table *t, const char *const *titles, size_t n_columns)
{
    memset(t, 0, sizeof(*t));
    t->titles = titles;
    t->n_columns = n_columns < N_COLUMNS_MAX ? n_columns : N_COLUMNS_MAX;
    t->cells = open_memstream(&t->text, &t->len_bytes);
    return t->cells ? 0 : -1;
}

void table_cell(table *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(t->cells, format, args);
    va_end(args);
    putc('\0', t->cells);
}

static int is_right(const table *t, size_t column)
{
    return t->titles[column][0] == '>';
}

static void put_cell(const table *t, size_t column, const char *text, size_t width, FILE *out)
{
    size_t pad = width - text_width(text);

    if (column)
        fputs("  ", out);
    if (is_right(t, column))
        fprintf(out, "%*s%s", (int)pad, "", text);
    else
        fprintf(out, "%s%*s", text, column + 1 < t->n_columns ? (int)pad : 0, "");
}

void table_end(table *t, FILE *out, int is_marked)
{
    size_t widths[N_COLUMNS_MAX];
    size_t column = 0;
    const char *end;

    fflush(t->cells);
    end = t->text ? t->text + t->len_bytes : NULL;
    for (size_t i = 0; i < t->n_columns; i++)
        widths[i] = strlen(t->titles[i] + is_right(t, i));
    for (const char *cell = t->text; cell < end; cell += strlen(cell) + 1) {
        size_t width = text_width(cell);

        widths[column] = width > widths[column] ? width : widths[column];
        column = (column + 1) % t->n_columns;
    }
    if (is_marked)
        putc(TABLE_MARK, out);
    for (size_t i = 0; i < t->n_columns; i++)
        put_cell(t, i, t->titles[i] + is_right(t, i), widths[i], out);
    putc('\n', out);
    column = 0;
    for (const char *cell = t->text; cell < end; cell += strlen(cell) + 1) {
        put_cell(t, column, cell, widths[column], out);
        column = (column + 1) % t->n_columns;
        if (column == 0)
            putc('\n', out);
    }
    table_drop(t);
}

void table_drop(table *t)
{
    if (t->cells)
        fclose(t->cells);
    free(t->text);
    t->cells = NULL;
    t->text = NULL;
}
