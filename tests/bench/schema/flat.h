/*
 * flat.h: what a byte costs, for inputs of any size and shape.
 */
#ifndef BENCH_SCHEMA_FLAT_H
#define BENCH_SCHEMA_FLAT_H

#include <stdbool.h>
#include <stdio.h>

/* Measure every shape at every size it may have; as a table where that is asked for, as JSON lines
 * where json is not NULL. */
void flat_run(bool has_table, FILE *json);

#endif
