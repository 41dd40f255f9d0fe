/*
 * gate: see gate.h.
 */
#include "host/access/gate.h"

#include "host/access/origin.h"
#include "host/host.h"

#include <strings.h>

/* How a page, which can set no other field, gives its token when it opens a WebSocket: as one of
 * the subprotocols it offers. */
static const char ws_word[] = "jimbot.bearer.";

int jbi_gate_load(jb_host *host, jb_error *err)
{
    const jb_host_opts *o = &host->opts;
    jbi_gate *g = &host->gate;
    jbi_tokens fresh = {.alloc = host->alloc};
    /* First, because it holds whatever the file of the tokens is like. */
    int rc = jbi_limit_set(&g->limit, o->rate_limit, o->rate_burst, host->alloc);

    if (rc == 0 && *o->tokens)
        rc = jbi_tokens_load(&fresh, o->tokens, host->alloc, err);
    if (rc < 0)
        return rc;
    if (g->tokens.alloc)
        jbi_tokens_fini(&g->tokens);
    g->tokens = fresh;
    g->generation++;
    g->is_guarded = *o->tokens || *o->tls_client_ca;
    return 0;
}

void jbi_gate_fini(jbi_gate *g)
{
    if (g->tokens.alloc)
        jbi_tokens_fini(&g->tokens);
    jbi_limit_fini(&g->limit);
}

static jbi_slice field(const jbi_fields *f, enum jbi_field which)
{
    jbi_slice s = {NULL, 0};

    s.data = jbi_fields_get(f, which, &s.len);
    return s;
}

/* Whether a list of "name:port" options has this name: where we listen we are called so. */
static bool is_our_name(const jb_host *host, jbi_slice name)
{
    const char *const addresses[] = {host->opts.http, host->opts.grpc};

    for (int i = 0; i < 2; i++) {
        jbi_slice ours = jbi_origin_name(jbi_slice_str(addresses[i]));

        if (ours.len > 0 && ours.len == name.len && !strncasecmp(ours.data, name.data, name.len))
            return true;
    }
    return host->tls && jbi_tls_site_is_for(host->tls, name.data, name.len);
}

static bool is_host_ours(const jb_host *host, jbi_slice authority)
{
    jbi_slice name = jbi_origin_name(authority);

    if (jbi_origin_is_literal(authority))
        return true;
    return name.len > 0 &&
           (jbi_origin_is_listed(host->opts.allowed_hosts, name) || is_our_name(host, name));
}

static enum jbi_verdict count(jb_host *host, enum jbi_verdict v)
{
    if (v != JBI_GATE_OPEN)
        host->service.counters.n_access_refused[v]++;
    return v;
}

enum jbi_verdict jbi_gate_origin(jb_host *host, const jbi_conn *c, const jbi_fields *f,
                                 jbi_slice *ret_cors)
{
    jbi_origin_facts facts = {.host = field(f, JBI_FIELD_HOST), .is_tls = c->tls != NULL};
    const uint32_t twice = 1u << JBI_FIELD_ORIGIN | 1u << JBI_FIELD_SEC_FETCH_SITE;

    *ret_cors = (jbi_slice){NULL, 0};
    if (c->listener->is_unix)
        return JBI_GATE_OPEN; /* no browser gets there */
    /* Only HTTP/1.0, which no browser speaks, may leave it out. */
    if (facts.host.data && !is_host_ours(host, facts.host))
        return count(host, JBI_GATE_HOST);
    facts.origin = field(f, JBI_FIELD_ORIGIN);
    facts.fetch_site = field(f, JBI_FIELD_SEC_FETCH_SITE);
    if (f->repeated & twice || !jbi_origin_may_ask(&facts, host->opts.allowed_origins))
        return count(host, JBI_GATE_ORIGIN);
    *ret_cors = facts.origin;
    return JBI_GATE_OPEN;
}

/* The token that a request carries, or an empty slice. */
static jbi_slice token_of(const jbi_fields *f)
{
    jbi_slice value = field(f, JBI_FIELD_AUTHORIZATION);
    const size_t n_scheme = strlen("Bearer ");
    const char *end;

    if (value.data) {
        if (value.len <= n_scheme || strncasecmp(value.data, "Bearer ", n_scheme) != 0)
            return (jbi_slice){"", 0};
        return (jbi_slice){value.data + n_scheme, value.len - n_scheme};
    }
    value = field(f, JBI_FIELD_SEC_WEBSOCKET_PROTOCOL);
    end = value.data + value.len;
    for (const char *at = value.data; at && at < end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        jbi_slice word = {at, (size_t)((comma ? comma : end) - at)};

        while (word.len > 0 && *word.data == ' ') {
            word.data++;
            word.len--;
        }
        if (word.len > sizeof(ws_word) - 1 && !memcmp(word.data, ws_word, sizeof(ws_word) - 1))
            return (jbi_slice){word.data + sizeof(ws_word) - 1, word.len - (sizeof(ws_word) - 1)};
        at = comma ? comma + 1 : end;
    }
    return (jbi_slice){NULL, 0};
}

static void set_name(jbi_who *who, const char *name)
{
    memcpy(who->name, name, sizeof(who->name));
}

/* Fill in what the files say of a token or certificate now. */
static void look_up(const jbi_gate *g, jbi_who *who)
{
    const jbi_token *line = who->kind == JBI_WHO_TOKEN
                                ? jbi_tokens_find(&g->tokens, who->hash)
                                : jbi_tokens_find_cert(&g->tokens, who->name);

    who->generation = g->generation;
    if (line) {
        who->scopes = line->scopes;
        set_name(who, line->name);
    } else if (who->kind == JBI_WHO_CERT) {
        /* Whoever the authority signed may everything, unless the file lists who may what. */
        who->scopes = g->tokens.has_certs ? JBI_SCOPE_NONE : JBI_SCOPE_ALL;
    } else {
        who->kind = JBI_WHO_NOBODY;
        who->scopes = JBI_SCOPE_NONE;
    }
}

/* Whose bucket of the rate limit it is: of a name where there is one, else of an address. */
static void set_client(const jb_host *host, const jbi_conn *c, jbi_who *who)
{
    uint64_t hash[2];

    memcpy(who->client, c->peer.address, sizeof(who->client));
    if (!who->name[0])
        return;
    jbi_siphash(&host->gate.limit.key, who->name, strlen(who->name), hash);
    memcpy(who->client, hash, sizeof(who->client));
    who->client[0] = who->kind == JBI_WHO_CERT ? 2 : 3; /* no client's address begins so */
}

static void identify(const jb_host *host, const jbi_conn *c, const jbi_fields *f, jbi_who *who)
{
    const jbi_gate *g = &host->gate;
    jbi_slice token;

    memset(who, 0, sizeof(*who));
    who->generation = g->generation;
    if (c->peer.is_local || !g->is_guarded) {
        who->kind = c->peer.is_local ? JBI_WHO_LOCAL : JBI_WHO_ANYBODY;
        who->scopes = JBI_SCOPE_ALL;
        return;
    }
    token = token_of(f);
    if (token.data) {
        if (f->repeated & 1u << JBI_FIELD_AUTHORIZATION || !jbi_tokens_hash(token, who->hash))
            return;
        who->kind = JBI_WHO_TOKEN;
    } else if (c->peer.has_cert) {
        who->kind = JBI_WHO_CERT;
        set_name(who, c->peer.name);
    } else {
        return;
    }
    look_up(g, who);
}

enum jbi_verdict jbi_gate_may(jb_host *host, jbi_who *who, uint32_t scope)
{
    if (who->generation != host->gate.generation && who->kind >= JBI_WHO_CERT)
        look_up(&host->gate, who);
    if ((who->scopes & scope) == scope)
        return JBI_GATE_OPEN;
    return count(host, who->kind == JBI_WHO_NOBODY ? JBI_GATE_UNKNOWN : JBI_GATE_FORBIDDEN);
}

enum jbi_verdict jbi_gate_known(jb_host *host, const jbi_who *who)
{
    return count(host, who->kind == JBI_WHO_NOBODY ? JBI_GATE_UNKNOWN : JBI_GATE_OPEN);
}

enum jbi_verdict jbi_gate_take(jb_host *host, const jbi_who *who)
{
    jbi_limit *l = &host->gate.limit;
    uint64_t now_ns;

    if (!l->slots)
        return JBI_GATE_OPEN;
    now_ns = jb_clock_now_ns();
    if (jbi_limit_wait_ns(l, who->client, now_ns) > 0)
        return count(host, JBI_GATE_BUSY);
    jbi_limit_charge(l, who->client, 1, now_ns);
    return JBI_GATE_OPEN;
}

void jbi_gate_charge(jb_host *host, const jbi_who *who, uint64_t before)
{
    uint64_t n = host->service.counters.n_tried - before;

    if (host->gate.limit.slots && n > 1)
        jbi_limit_charge(&host->gate.limit, who->client, n - 1, jb_clock_now_ns());
}

enum jbi_verdict jbi_gate_ask(jb_host *host, const jbi_conn *c, const jbi_fields *f, uint32_t scope,
                              jbi_who *ret_who)
{
    identify(host, c, f, ret_who);
    set_client(host, c, ret_who);
    return jbi_gate_may(host, ret_who, scope);
}

enum jbi_verdict jbi_gate_admit(jb_host *host, const jbi_conn *c, const jbi_fields *f,
                                uint32_t scope, jbi_who *ret_who)
{
    enum jbi_verdict v = jbi_gate_ask(host, c, f, scope, ret_who);

    return v == JBI_GATE_OPEN && scope ? jbi_gate_take(host, ret_who) : v;
}

enum jbi_verdict jbi_gate_check(jb_host *host, const jbi_conn *c, const jbi_fields *f,
                                uint32_t scope, jbi_who *ret_who)
{
    jbi_slice cors;
    enum jbi_verdict v = jbi_gate_origin(host, c, f, &cors);

    memset(ret_who, 0, sizeof(*ret_who));
    return v == JBI_GATE_OPEN ? jbi_gate_admit(host, c, f, scope, ret_who) : v;
}

const char *jbi_gate_problem(enum jbi_verdict verdict)
{
    static const char *const sentences[JBI_GATE_VERDICTS] = {
        "",
        "a bearer token of this server is needed",
        "the token does not have the scope for this",
        "the name in Host is not this server's: allowed_hosts lists others",
        "pages of this origin may not ask: allowed_origins lists those that may",
        "more than the rate limit allows"};

    return sentences[verdict];
}

int jbi_gate_grpc_status(enum jbi_verdict verdict)
{
    enum { OK = 0, PERMISSION_DENIED = 7, RESOURCE_EXHAUSTED = 8, UNAUTHENTICATED = 16 };

    return verdict == JBI_GATE_OPEN      ? OK
           : verdict == JBI_GATE_UNKNOWN ? UNAUTHENTICATED
           : verdict == JBI_GATE_BUSY    ? RESOURCE_EXHAUSTED
                                         : PERMISSION_DENIED;
}

void jbi_gate_refuse(const jb_host *host, enum jbi_verdict verdict, const jbi_who *who,
                     jbi_answer *a)
{
    static const uint16_t statuses[JBI_GATE_VERDICTS] = {200, 401, 403, 403, 403, 429};
    uint64_t wait_s;

    jbi_answer_error(a, statuses[verdict], jbi_gate_problem(verdict));
    if (verdict == JBI_GATE_UNKNOWN)
        a->fields = "WWW-Authenticate: Bearer realm=\"jimbot\"\r\n";
    else if (verdict == JBI_GATE_FORBIDDEN)
        a->fields = "WWW-Authenticate: Bearer realm=\"jimbot\", error=\"insufficient_scope\"\r\n";
    if (verdict != JBI_GATE_BUSY)
        return;
    wait_s = jbi_limit_wait_ns(&host->gate.limit, who->client, jb_clock_now_ns()) / 1000000000u;
    a->retry_after_s = (uint16_t)(wait_s < 3600 ? wait_s + 1 : 3600);
}
