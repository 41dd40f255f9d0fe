/*
 * version.c: what the running library says of itself, for bindings to compare with the headers they
 * were made from.
 */
#include "jimbot/base.h"

uint32_t jb_version(void)
{
    return (uint32_t)(JB_VERSION_MAJOR << 16 | JB_VERSION_MINOR << 8 | JB_VERSION_PATCH);
}

const char *jb_version_string(void)
{
    return JBI_VERSION_STRING;
}
