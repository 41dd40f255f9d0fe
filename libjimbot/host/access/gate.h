/*
 * gate: the one check between a request and what it asks for, whatever it came by.
 *
 * Handlers of paths are called behind it, in any version of HTTP (jbi_router_answer() asks with the
 * scope of the route). What is no path of the router calls it by itself, with its header fields:
 *
 *     jbi_who who;
 *     enum jbi_verdict v = jbi_gate_check(c->host, c, &fields, JBI_SCOPE_PUBLISH, &who);
 *     if (v != JBI_GATE_OPEN)
 *         refuse;              // gRPC: jbi_gate_grpc_status(v) and jbi_gate_problem(v)
 *
 * A connection or stream that lives long keeps `who` and calls jbi_gate_may() for each thing it is
 * asked for (a message, an event sent out): a token that was taken out of the file ends there. For
 * each message in it also asks jbi_gate_take() before, and calls jbi_gate_charge() after.
 *
 * Invariant: without tokens and client certificates configured everybody who reaches a socket may
 * everything, and the sockets are loopback's; with one of them nobody may anything without.
 */
#ifndef JBI_HOST_GATE_H
#define JBI_HOST_GATE_H

#include "host/access/limit.h"
#include "host/access/tokens.h"
#include "host/http/answer.h"
#include "host/http/fields.h"
#include "host/http/scope.h"
#include "host/net/conn.h"

enum jbi_who_kind {
    JBI_WHO_NOBODY = 0,
    JBI_WHO_ANYBODY = 1, /* there is no authentication */
    JBI_WHO_LOCAL = 2,   /* a Unix peer of our user, or root */
    JBI_WHO_CERT = 3,
    JBI_WHO_TOKEN = 4
};

typedef struct jbi_who {
    uint32_t kind;                   /* enum jbi_who_kind */
    uint32_t scopes;                 /* enum jbi_scope, as the files stood at `generation` */
    uint32_t generation;             /* jbi_gate.generation then */
    char name[JBI_TOKEN_NAME_BYTES]; /* the token's or certificate's */
    uint8_t hash[JBI_TOKEN_HASH_BYTES];
    uint8_t client[JBI_LIMIT_CLIENT_BYTES]; /* whose bucket of the rate limit it is */
} jbi_who;

/* The state of a host's gate. */
typedef struct jbi_gate {
    jbi_tokens tokens;
    jbi_limit limit;
    uint32_t generation; /* grows with each reload */
    bool is_guarded;     /* there are tokens or client certificates */
} jbi_gate;

/* Read what the options name, at the start and again; on failure all is as before. Returns what
 * jbi_tokens_load() does. */
int jbi_gate_load(struct jb_host *host, jb_error *err);
void jbi_gate_fini(jbi_gate *gate);

/* Host and Origin, who it is, and whether they may. *ret_who is set in every case. A refusal is
 * counted. */
enum jbi_verdict jbi_gate_check(struct jb_host *host, const jbi_conn *c, const jbi_fields *fields,
                                uint32_t scope, jbi_who *ret_who);

/* Whether someone let in before may this (now, or still). A refusal is counted. */
enum jbi_verdict jbi_gate_may(struct jb_host *host, jbi_who *who, uint32_t scope);

/* Its parts, for the router. Host and Origin; *ret_cors is the Origin whose page may read the
 * answer, or data NULL. Then who it is and whether they may; _admit() charges the rate limit. */
enum jbi_verdict jbi_gate_origin(struct jb_host *host, const jbi_conn *c, const jbi_fields *fields,
                                 jbi_slice *ret_cors);
enum jbi_verdict jbi_gate_ask(struct jb_host *host, const jbi_conn *c, const jbi_fields *fields,
                              uint32_t scope, jbi_who *ret_who);
enum jbi_verdict jbi_gate_admit(struct jb_host *host, const jbi_conn *c, const jbi_fields *fields,
                                uint32_t scope, jbi_who *ret_who);

/* Whether it is anybody known, for what is asked of a whole session. A refusal is counted. */
enum jbi_verdict jbi_gate_known(struct jb_host *host, const jbi_who *who);

/* Whether someone may ask for one thing more at this rate; if so it is charged. jbi_gate_check()
 * and _admit() have asked for the request as a whole, when it wants a scope. */
enum jbi_verdict jbi_gate_take(struct jb_host *host, const jbi_who *who);

/* Charge the events that came in since service.counters.n_tried was `before`, but for the first,
 * which has been taken. */
void jbi_gate_charge(struct jb_host *host, const jbi_who *who, uint64_t before);

/* A sentence for whoever is refused, and the status of gRPC. */
const char *jbi_gate_problem(enum jbi_verdict verdict);
int jbi_gate_grpc_status(enum jbi_verdict verdict);

/* Make the answer of HTTP that a refusal is. */
void jbi_gate_refuse(const struct jb_host *host, enum jbi_verdict verdict, const jbi_who *who,
                     jbi_answer *answer);

#endif
