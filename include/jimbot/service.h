/**
 * jimbot/service.h: a service of the program's own, served by its host (libjimbot-host): paths of
 * HTTP and methods of gRPC, answered at once or later.
 *
 * @code
 *     static void on_echo(jb_call *call, void *userdata)
 *     {
 *         size_t n;
 *         const void *body = jb_call_body(call, &n);
 *
 *         jb_call_reply(call, body, n);
 *     }
 *
 *     static const jb_service_entry entries[] = {
 *         {.path = "/api/v1/echo", .method = "POST", .scope = JB_SCOPE_ADMIN, .handle = on_echo},
 *         {.path = "/my.Echo/Say", .scope = JB_SCOPE_ADMIN, .handle = on_echo},
 *     };
 *     jb_service service = {.size = sizeof service, .entries = entries, .n_entries = 2};
 *
 *     jb_host_create(&opts, NULL, &host, &err);
 *     jb_host_serve(host, &service, &err);
 *     jb_host_run(host);
 * @endcode
 *
 * What comes has passed the host's gate when `handle` sees it: Host and Origin, token and scope,
 * rate and sizes; it is counted with the rest of the host's figures, and reflection and health of
 * gRPC name the methods.
 *
 * Caveats first:
 *  - A call that `handle` leaves without an answer goes on until it is answered. Say with
 *    jb_call_on_close() who wants to know that nobody waits for it any more: the client is gone or
 *    gave up, its deadline has passed, the host stops. Then, and after an answer, the call is dead.
 *  - Everything happens on the host's thread; who has an answer elsewhere calls jb_host_kick() and
 *    gives it in `tick`.
 *  - A path may not be one of the host's own, nor be there twice; it has at most 96 characters.
 *  - A handler of GET is called for HEAD too, whose answer is sent without the body.
 *  - Over HTTP/1.1 a client that closes its side for writing has given up a call that waits.
 *  - Where the library was built without nghttp2 there is no gRPC, and its entries are not served.
 */
#ifndef JIMBOT_SERVICE_H
#define JIMBOT_SERVICE_H

#include "jimbot/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What a client must be allowed to do, see jb_host_make_token(). */
enum jb_scope {
    JB_SCOPE_NONE = 0,      /**< nothing: for everybody, at any rate; a call of gRPC has at most
                               4096 bytes then */
    JB_SCOPE_PUBLISH = 1,   /**< events in */
    JB_SCOPE_SUBSCRIBE = 2, /**< events out */
    JB_SCOPE_COMMAND = 4,   /**< commands */
    JB_SCOPE_ADMIN = 8,     /**< figures */
    JB_SCOPE_RESOURCE = 16  /**< leases and rates */
};

/** How a call ended: the numbers of gRPC's status codes; over HTTP the status beside it. */
enum jb_call_code {
    JB_CALL_OK = 0,                  /**< 200 */
    JB_CALL_CANCELLED = 1,           /**< 503: nobody waits any more */
    JB_CALL_UNKNOWN = 2,             /**< 500 */
    JB_CALL_INVALID_ARGUMENT = 3,    /**< 400 */
    JB_CALL_DEADLINE_EXCEEDED = 4,   /**< 504 */
    JB_CALL_NOT_FOUND = 5,           /**< 404 */
    JB_CALL_ALREADY_EXISTS = 6,      /**< 409 */
    JB_CALL_PERMISSION_DENIED = 7,   /**< 403 */
    JB_CALL_RESOURCE_EXHAUSTED = 8,  /**< 429 */
    JB_CALL_FAILED_PRECONDITION = 9, /**< 409 */
    JB_CALL_ABORTED = 10,            /**< 409 */
    JB_CALL_OUT_OF_RANGE = 11,       /**< 422 */
    JB_CALL_UNIMPLEMENTED = 12,      /**< 501 */
    JB_CALL_INTERNAL = 13,           /**< 500 */
    JB_CALL_UNAVAILABLE = 14         /**< 503 */
};

/** Flags of an entry. */
enum jb_service_flag {
    JB_SERVICE_STREAM = 1 /**< gRPC: the response is a stream of messages, jb_call_send() */
};

/** One request of HTTP or one call of gRPC, from `handle` to its end. Opaque. */
typedef struct jb_call jb_call;

/** Text that is being written. Opaque. */
typedef struct jb_page jb_page;

/** One path of HTTP or one method of gRPC. */
typedef struct jb_service_entry {
    const char *path;   /**< "/api/v1/leases"; of gRPC "/package.Service/Method" */
    const char *method; /**< "GET", which answers HEAD too, or "POST"; NULL: it is gRPC's */
    uint32_t scope;     /**< enum jb_scope */
    uint32_t flags;     /**< enum jb_service_flag */
    uint64_t _reserved; /**< zero */
    /** Answer the call, or keep it to be answered later. */
    void (*handle)(jb_call *call, void *userdata);
} jb_service_entry;

/** A service. Zero what is not used. */
typedef struct jb_service {
    uint32_t size; /**< sizeof(jb_service) of the caller */
    uint32_t n_entries;
    const jb_service_entry *entries;
    const void *descriptors; /**< a google.protobuf.FileDescriptorSet for reflection; may be NULL */
    uint64_t descriptors_bytes;

    /** What is wrong, a sentence, or NULL: health and readiness say so. May be NULL. */
    const char *(*problem)(void *userdata);

    /** Write more of the metrics page: whole families in the format of Prometheus. May be NULL. */
    void (*metrics)(jb_page *page, void *userdata);

    /** Called soon after jb_host_run() begins, after each jb_host_kick(), and when the time is up
     * that it returned: nanoseconds until the next call, rounded to milliseconds, at least one;
     * UINT64_MAX: only after a kick. May be NULL. */
    uint64_t (*tick)(void *userdata);
    void *userdata; /**< handed to all of them */
} jb_service;

/**
 * Serve it. Entries, descriptors and whatever userdata is must last until the host is destroyed,
 * which first closes all calls.
 *
 * @param service  copied. Up to four of them can be added to a host.
 *
 * @return 0, or JB_EINVAL (an entry is incomplete, or its path is taken; err->msg names it),
 * JB_ELIMIT (too many services), JB_ENOMEM.
 *
 * Threads: the loop's, before it runs. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_serve(jb_host *host, const jb_service *service, jb_error *err);

/**
 * Have `tick` of every service called soon.
 *
 * Threads: any; also from a signal handler. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_host_kick(jb_host *host);

/**
 * What was sent: the body of a request, unpacked; or the one message of a call.
 *
 * @param ret_bytes  set always.
 *
 * @return never NULL; borrowed until `handle` returns.
 *
 * Threads: the loop's, inside `handle`. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API const void *jb_call_body(const jb_call *call, size_t *ret_bytes);

/**
 * One parameter of a request's query, decoded.
 *
 * @param buf  NUL-terminated on success.
 *
 * @return its length, or JB_ENOENT (there is none of that name, or it is no request of HTTP),
 * JB_ETOOBIG (buf is too small), JB_EPARSE (the query is malformed), JB_ENOMEM.
 *
 * Threads: the loop's, inside `handle`. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_call_query(const jb_call *call, const char *name, char *buf, size_t cap);

/**
 * Who asks: the name of the token or certificate, "" for one without.
 *
 * @return NUL-terminated, borrowed from the call.
 *
 * Threads: the loop's. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API const char *jb_call_who(const jb_call *call);

/**
 * Whether the host took it as a call of gRPC; else it is a request of HTTP.
 *
 * Threads: the loop's. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API bool jb_call_is_grpc(const jb_call *call);

/**
 * Say whom to tell when the call ends without an answer. Called at most once, on the loop's thread,
 * and then the call is dead. An answer given, jb_call_done() and jb_call_fail() call nothing.
 *
 * @param fn  NULL: nobody.
 *
 * Threads: the loop's. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_call_on_close(jb_call *call, void (*fn)(jb_call *call, void *userdata),
                             void *userdata);

/**
 * Answer: 200 with this body as JSON, or one message and OK. The call is dead then.
 *
 * Threads: the loop's. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_call_reply(jb_call *call, const void *bytes, size_t n_bytes);

/**
 * Send one message of a stream; jb_call_done() or jb_call_fail() ends it.
 *
 * @return 0, or JB_EAGAIN (the client is behind with reading, or may not read any more, which ends
 * the call soon; nothing was sent), JB_ESTATE (the entry is no stream).
 *
 * Threads: the loop's. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_call_send(jb_call *call, const void *bytes, size_t n_bytes);

/**
 * End a stream well. The call is dead then.
 *
 * Threads: the loop's. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_call_done(jb_call *call);

/**
 * Say why there is no answer. The call is dead then.
 *
 * @param code  enum jb_call_code but OK, which counts as UNKNOWN.
 * @param message  a sentence for people; cut off at 200 bytes.
 *
 * Threads: the loop's. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_call_fail(jb_call *call, uint32_t code, const char *message);

/**
 * Append to a page.
 *
 * Threads: the loop's, inside the callback that was given it. Blocks: never. Allocates: yes.
 * Game thread: no.
 * Since: 0.1
 */
JB_API void jb_page_write(jb_page *page, const char *text, size_t n_bytes);

#ifdef __cplusplus
}
#endif
#endif
