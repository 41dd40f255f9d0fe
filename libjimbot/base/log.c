/*
 * log.c: the process's one log hook, and the version.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static jb_log_fn log_hook;
static void *log_userdata;

void jb_log_set(jb_log_fn fn, void *userdata)
{
    log_userdata = userdata;
    log_hook = fn;
}

void jbi_log(uint32_t level, const char *format, ...)
{
    char line[512];
    va_list args;

    if (!log_hook)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_hook(level, line, log_userdata);
}
