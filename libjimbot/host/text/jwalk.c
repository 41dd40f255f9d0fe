/*
 * jwalk: see jwalk.h. Containers are stepped over by the schema room's scanner.
 */
#include "host/text/jwalk.h"

#include "schema/json_scan.h"

static void space(jbi_jwalk *w)
{
    while (w->pos != w->end &&
           (*w->pos == ' ' || *w->pos == '\n' || *w->pos == '\r' || *w->pos == '\t'))
        w->pos++;
}

static bool enter(jbi_slice text, char open, jbi_jwalk *ret)
{
    *ret = (jbi_jwalk){.pos = text.len ? text.data : "", .is_list = open == '['};
    ret->end = ret->pos + text.len;
    space(ret);
    if (ret->pos == ret->end || *ret->pos != open)
        return false;
    ret->pos++;
    return true;
}

bool jbi_jwalk_object(jbi_slice text, jbi_jwalk *ret)
{
    return enter(text, '{', ret);
}

bool jbi_jwalk_list(jbi_slice text, jbi_jwalk *ret)
{
    return enter(text, '[', ret);
}

/* After the string that begins at p, NULL when it does not end. */
static const char *skip_string(const char *p, const char *end)
{
    for (p++; p < end; p++) {
        p = jbi_scan_plain(p, end);
        if (p == end)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (*p == '\\')
            p++;
    }
    return NULL;
}

/* After the value that begins at p, NULL when there is none. */
static const char *skip_value(const char *p, const char *end)
{
    const char *begin = p;

    if (p == end)
        return NULL;
    if (*p == '"')
        return skip_string(p, end);
    if (*p == '{' || *p == '[')
        return jbi_scan_container(p, end);
    while (p != end && *p > ' ' && *p != ',' && *p != ']' && *p != '}')
        p++;
    return p != begin ? p : NULL;
}

static bool read_key(jbi_jwalk *w, jbi_slice *ret_key)
{
    const char *after = w->pos != w->end && *w->pos == '"' ? skip_string(w->pos, w->end) : NULL;

    if (!after)
        return false;
    *ret_key = (jbi_slice){w->pos + 1, (size_t)(after - w->pos - 2)};
    w->pos = after;
    space(w);
    if (w->pos == w->end || *w->pos != ':')
        return false;
    w->pos++;
    space(w);
    return true;
}

int jbi_jwalk_next(jbi_jwalk *w, jbi_slice *ret_key, jbi_slice *ret_value)
{
    const char *after;

    *ret_key = (jbi_slice){"", 0};
    space(w);
    if (w->pos == w->end)
        return -1;
    if (*w->pos == (w->is_list ? ']' : '}')) {
        w->pos++;
        space(w);
        return w->pos == w->end ? 0 : -1;
    }
    if (w->is_begun && *w->pos++ != ',')
        return -1;
    w->is_begun = true;
    space(w);
    if (!w->is_list && !read_key(w, ret_key))
        return -1;
    after = skip_value(w->pos, w->end);
    if (!after)
        return -1;
    *ret_value = (jbi_slice){w->pos, (size_t)(after - w->pos)};
    w->pos = after;
    return 1;
}

bool jbi_jwalk_is(jbi_slice key, const char *name)
{
    size_t i = 0;

    for (; *name; name++) {
        bool is_hump = *name == '_' && i < key.len && key.data[i] != '_';
        char want = *name;

        if (is_hump) {
            name++;
            want = (char)(*name - 'a' + 'A');
        }
        if (i == key.len || key.data[i++] != want)
            return false;
    }
    return i == key.len;
}

bool jbi_jwalk_u64(jbi_slice value, uint64_t *ret)
{
    uint64_t n = 0;

    if (value.len >= 2 && value.data[0] == '"')
        value = (jbi_slice){value.data + 1, value.len - 2};
    if (value.len == 0 || (value.len > 1 && value.data[0] == '0'))
        return false;
    for (size_t i = 0; i < value.len; i++) {
        unsigned digit = (unsigned char)value.data[i] - '0';

        if (digit > 9 || n > (UINT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return true;
}

bool jbi_jwalk_bool(jbi_slice value, bool *ret)
{
    *ret = jbi_slice_is(value, "true");
    return *ret || jbi_slice_is(value, "false");
}
