/*
 * log.h: the library's only voice, silent until a program asks for it.
 *
 * Invariant: nothing is formatted when no hook is installed.
 */
#ifndef JBI_BASE_LOG_H
#define JBI_BASE_LOG_H

#include "jimbot/base.h"

void jbi_log(uint32_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
