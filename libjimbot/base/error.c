/*
 * error.c: the status table and the one place that writes a jb_error.
 *
 * Invariant: names, sentences and numbers come from JB_ERR_MAP alone; nothing here repeats the
 * list.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    int32_t code;
    const char *name;
    const char *short_name;
    const char *sentence;
};

static const struct err_row err_rows[] = {
#define ERR_ROW(name, number, short_name, sentence) {number, #name, #short_name, sentence},
    JB_ERR_MAP(ERR_ROW)
#undef ERR_ROW
};

enum { N_ERR_ROWS = sizeof err_rows / sizeof err_rows[0] };

static const struct err_row *err_row_find(int code)
{
    for (size_t i = 0; i < N_ERR_ROWS; i++) {
        if (err_rows[i].code == code)
            return &err_rows[i];
    }
    return NULL;
}

const char *jb_err_name(int code)
{
    const struct err_row *row = err_row_find(code);

    if (code == JB_OK)
        return "JB_OK";
    return row ? row->name : "JB_E?";
}

const char *jb_strerror(int code)
{
    const struct err_row *row = err_row_find(code);

    if (code >= 0)
        return "success";
    return row ? row->sentence : "a code this version does not know";
}

int jb_err_at(uint32_t idx, int32_t *ret_code, const char **ret_short_name)
{
    if (!ret_code || !ret_short_name)
        return JB_EINVAL;
    if (idx >= N_ERR_ROWS)
        return JB_ENOENT;
    *ret_code = err_rows[idx].code;
    *ret_short_name = err_rows[idx].short_name;
    return 0;
}

void jb_error_init(jb_error *err)
{
    memset(err, 0, sizeof *err);
    err->size = sizeof *err;
}

static void error_fill(jb_error *err, int code, int os_errno, uint64_t offset, const char *format,
                       va_list args)
{
    jb_error_init(err);
    err->code = code;
    err->os_errno = os_errno;
    err->offset = offset;
    vsnprintf(err->msg, sizeof err->msg, format, args);
}

int jbi_error_set(jb_error *err, int code, const char *format, ...)
{
    if (err) {
        va_list args;

        va_start(args, format);
        error_fill(err, code, 0, 0, format, args);
        va_end(args);
    }
    return code;
}

int jbi_error_at(jb_error *err, int code, uint64_t offset, const char *format, ...)
{
    if (err) {
        va_list args;

        va_start(args, format);
        error_fill(err, code, 0, offset, format, args);
        va_end(args);
    }
    return code;
}

int jbi_error_os(jb_error *err, int code, int os_errno, const char *format, ...)
{
    if (err) {
        va_list args;
        size_t used;

        va_start(args, format);
        error_fill(err, code, os_errno, 0, format, args);
        va_end(args);
        used = strlen(err->msg);
        snprintf(err->msg + used, sizeof err->msg - used, ": %s", strerror(os_errno));
    }
    return code;
}
