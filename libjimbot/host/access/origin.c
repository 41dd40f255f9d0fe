/*
 * origin: see origin.h.
 */
#include "host/access/origin.h"

#include <arpa/inet.h>
#include <strings.h>

static bool is_same(jbi_slice a, jbi_slice b)
{
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

jbi_slice jbi_origin_name(jbi_slice authority)
{
    jbi_slice name = authority;
    const char *stop;

    if (name.len > 0 && *name.data == '[') {
        stop = memchr(name.data, ']', name.len);
        name.data++;
        name.len = stop ? (size_t)(stop - name.data) : 0;
        return name;
    }
    stop = name.len > 0 ? memchr(name.data, ':', name.len) : NULL;
    if (stop)
        name.len = (size_t)(stop - name.data);
    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    return name;
}

bool jbi_origin_is_literal(jbi_slice authority)
{
    jbi_slice name = jbi_origin_name(authority);
    bool is_v6 = authority.len > 0 && *authority.data == '[';
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];

    if (is_same(name, jbi_slice_str("localhost")))
        return true;
    if (name.len == 0 || name.len >= sizeof(text))
        return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, &address) == 1;
}

bool jbi_origin_is_listed(const char *list, jbi_slice word)
{
    static const char between[] = ", \t";

    for (list += strspn(list, between); *list; list += strspn(list, between)) {
        jbi_slice item = {list, strcspn(list, between)};

        if (jbi_slice_is(item, "*") || is_same(item, word))
            return true;
        list += item.len;
    }
    return false;
}

/* The page came from this very server: the same scheme, name and port. */
static bool is_own(const jbi_origin_facts *f)
{
    jbi_slice scheme = jbi_slice_str(f->is_tls ? "https://" : "http://");
    jbi_slice origin = f->origin;

    if (!f->host.data || origin.len <= scheme.len ||
        !is_same((jbi_slice){origin.data, scheme.len}, scheme))
        return false;
    return is_same((jbi_slice){origin.data + scheme.len, origin.len - scheme.len}, f->host);
}

bool jbi_origin_may_ask(const jbi_origin_facts *f, const char *allowed)
{
    if (f->origin.data)
        return is_own(f) || jbi_origin_is_listed(allowed, f->origin);
    /* A page that embeds or follows a link sends no Origin with a GET, but says where it is. */
    return !f->fetch_site.data || jbi_slice_is(f->fetch_site, "none") ||
           jbi_slice_is(f->fetch_site, "same-origin") ||
           jbi_origin_is_listed(allowed, (jbi_slice){"*", 1});
}
