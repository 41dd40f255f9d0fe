/*
 * target.h: what every target has.
 *
 * Invariant: what is required and does not hold ends the program, however it was built.
 */
#ifndef TEST_TARGET_H
#define TEST_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#ifdef __cplusplus
}
#endif

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

#endif
