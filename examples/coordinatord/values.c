/*
 * values: see values.h.
 */
#include "values.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Digits, then perhaps K, M, G or T; returns what follows, or NULL. */
const char *value_amount_of(const char *text, uint64_t *ret)
{
    static const char units[] = "KMGT";
    const char *unit;
    char *end;
    unsigned long long n;
    int shift = 0;

    if (*text < '0' || *text > '9')
        return NULL;
    errno = 0;
    n = strtoull(text, &end, 10);
    unit = *end ? strchr(units, *end) : NULL;
    if (unit) {
        shift = 10 * (int)(unit - units + 1);
        end++;
    }
    if (errno || n > UINT64_MAX >> shift)
        return NULL;
    *ret = (uint64_t)n << shift;
    return end;
}

bool value_amount(const char *text, uint64_t *ret)
{
    const char *end = value_amount_of(text, ret);

    return end && !*end;
}

bool value_seconds(const char *text, uint64_t *ret)
{
    char *end;
    double s = strtod(text, &end);

    if (end == text || *end || !(s >= 0 && s < 1e9))
        return false;
    *ret = (uint64_t)llround(s * 1e9);
    return true;
}

bool value_count(const char *text, uint32_t *ret)
{
    uint64_t n;

    if (!value_amount(text, &n) || n > UINT32_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

bool value_switch(const char *text, uint32_t bit, uint32_t *flags)
{
    bool is_on = !strcmp(text, "yes");

    if (!is_on && strcmp(text, "no") != 0)
        return false;
    *flags = is_on ? *flags | bit : *flags & ~bit;
    return true;
}

bool value_text(const char *text, char *to, size_t cap)
{
    if (strlen(text) >= cap)
        return false;
    strcpy(to, strcmp(text, "none") ? text : "");
    return true;
}

int value_empty_section(const char *path)
{
    struct stat info;
    /* What is no file has been read once, and cannot be again. */
    FILE *file = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "re") : NULL;
    int line = 0, section = 0, empty = 0;
    char text[256];

    while (file && !empty && fgets(text, sizeof(text), file)) {
        const char *at = text + strspn(text, " \t");

        line++;
        if (*at == '[') {
            empty = section;
            section = strcspn(at, " ") < strcspn(at, "]") ? line : 0;
        } else if (!strchr("\r\n;#", *at)) {
            section = 0;
        }
    }
    if (file)
        fclose(file);
    return empty ? empty : section;
}
