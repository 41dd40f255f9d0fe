/*
 * report.h: what a soak prints.
 */
#ifndef SOAK_REPORT_H
#define SOAK_REPORT_H

#include "director.h"

/* One line on the terminal, over the one before. Nothing where there is no terminal. */
void report_progress(const struct soak *soak, const struct ledger *ledger);

/* The books of the whole soak. */
void report_totals(struct soak *soak);

/* What is wrong, and the ledger as it stands. */
void report_failure(const struct soak *soak, const struct ledger *ledger);

#endif
