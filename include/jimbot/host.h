/**
 * jimbot/host.h: the daemon as a library (libjimbot-host): events and commands over HTTP/1.1.
 *
 * @code
 *     jb_host_opts opts;
 *     jb_host *host;
 *     jb_error err;
 *
 *     jb_host_opts_init(&opts, sizeof opts);
 *     jb_host_opts_set(&opts, "http", "127.0.0.1:8080", NULL);
 *     if (jb_host_create(&opts, NULL, &host, &err) < 0)
 *         fprintf(stderr, "%s\n", err.msg);
 *     jb_host_run(host);           // until jb_host_stop() from another thread or a signal handler
 *     jb_host_destroy(host);
 * @endcode
 *
 * Caveats first:
 *  - Without `tokens` and `tls_client_ca` there is no authentication: whoever reaches the address
 *    can publish events and send commands. Then only loopback is listened on, and what pages of
 *    other sites send through a browser is refused.
 *  - An answer of 200 means that every event of the request lies in the ring (or lay there already
 *    under the same `event_id`). Everything else is another status.
 *  - A command is handed to exactly one poll. When the client dies while it reads the answer, the
 *    command is gone with it.
 *  - A repeated `event_id` is recognised among the last `dedupe_window` ids this host published,
 *    compared as text (7 and "7" are one id); an older repetition, or one sent to another host on
 *    the same bus, is published again.
 *  - The program must ignore SIGPIPE (the library installs no signal handler): a client may close
 *    while it is written to.
 *
 * The host runs in one thread, on a libuv loop of its own or on the caller's. What each path does
 * is written in docs/openapi.yaml.
 */
#ifndef JIMBOT_HOST_H
#define JIMBOT_HOST_H

#include "jimbot/stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A running server. Opaque. */
typedef struct jb_host jb_host;

/** How jb_host_log_line() writes. */
enum jb_host_log_format {
    JB_HOST_LOG_TEXT = 0, /**< "2026-01-31T12:00:00Z warn jimbotd: the line" */
    JB_HOST_LOG_JSON = 1  /**< {"time":"2026-01-31T12:00:00.123Z","level":"warn","message":"…"} */
};

/**
 * Options of a host; start from jb_host_opts_init(). Each has a text name for configuration files,
 * environment and flags, see jb_host_opts_key().
 */
typedef struct jb_host_opts {
    uint32_t size;           /**< set by jb_host_opts_init() */
    uint32_t log_level;      /**< enum jb_log_level; lines below it are not logged; default INFO */
    jb_bus *bus;             /**< borrowed until jb_host_destroy(); NULL: the host opens bus_name */
    const jb_alloc *alloc;   /**< NULL for libc */
    jb_log_fn log;           /**< where log lines go, called on the host's thread; NULL: nowhere */
    void *log_userdata;      /**< handed to log */
    uint64_t bus_bytes;      /**< ring size should bus_name have to be created; default 32 MiB */
    uint64_t max_body_bytes; /**< largest request body, 1 KiB .. 1 GiB; default 8 MiB */
    uint64_t max_buffered_bytes; /**< bodies being received, all connections together; default
                                      64 MiB */
    uint64_t header_timeout_ns;  /**< from a request's first byte to the end of its header; default
                                      10 s */
    uint64_t body_timeout_ns;    /**< longest silence, and 10 times it the longest time, in a body;
                                    default 30 s */
    uint64_t idle_timeout_ns;    /**< between two requests; default 75 s */
    uint64_t write_timeout_ns;   /**< without progress of an answer; default 15 s */
    uint64_t drain_timeout_ns;   /**< for requests in flight after jb_host_stop(); default 5 s */
    uint32_t max_header_bytes; /**< request line and header fields, 256 .. 1 MiB; default 16 KiB */
    uint32_t max_connections;  /**< 1 .. 65536; default 1024 */
    uint32_t max_batch_events; /**< events in one body, 1 .. 1000000; default 10000 */
    uint32_t dedupe_window;    /**< event ids remembered, 1 .. 16777216; default 65536 */
    uint32_t command_queue;    /**< commands waiting for a poll, 1 .. 65536; default 1024 */
    uint32_t _reserved;
    char http[256]; /**< address and port, "127.0.0.1:8080", "[::1]:8080", "localhost:0"; port 0:
                            any; "fd:3": the socket that descriptor is; "": none */
    char bus_name[256];  /**< see jb_bus_open(); default "jimbot" */
    char grpc[256];      /**< one more address and port, which speaks the same; default none, "" */
    char unix_path[256]; /**< path of a Unix socket, mode 0600; default none, "" */
    char tls_cert[256];  /**< PEM file: the certificate, then those above it. With one, every
                              address but the Unix socket speaks TLS 1.2 or 1.3; default none */
    char tls_key[256];   /**< PEM file: its key, which others may not read; default none */
    char tls_client_ca[256]; /**< PEM file: who signs the certificates that clients must show;
                                  default none, no client is asked for one */
    uint32_t max_streams; /**< requests at a time on one HTTP/2 connection, 1 .. 65536; default 1024
                           */
    uint32_t listen_public; /**< 1: addresses that are not loopback are meant; they need tokens or
                                 tls_client_ca; default 0 */
    uint32_t rate_limit;    /**< requests, and events in them, a second from each client, who is its
                              token, its certificate or its address; then 429; default 0, none */
    uint32_t rate_burst;    /**< how many of them at once, 0: as many as in a second; default 0 */
    uint32_t max_client_connections; /**< open at a time from one address (of IPv6, one /64);
                                          default 0, no limit but max_connections */
    char tokens[256];        /**< file of bearer tokens, mode 0600: who may do what; default none */
    char allowed_hosts[256]; /**< names in Host beside addresses, localhost, those listened on and
                                  the certificate's; commas between; "*" any; default none */
    char allowed_origins[256];  /**< pages that may ask, "https://example.org"; commas between; "*"
                                    any; default none but the server's own */
    uint32_t bus_subscriptions; /**< at a time, should bus_name have to be created, 1 .. 1024: each
                                    subscription of a client of the network takes one; default 1024
                                  */

    /** Called on the host's thread after jb_host_reload(): read the settings again into `opts`,
     * which has those in force. A return below 0, with err->msg, leaves them. Taken over are
     * log_level, the limits (max_…) and the times; another option that differs is named in the log
     * and waits for a restart. NULL: settings never change. */
    int (*reload)(struct jb_host_opts *opts, jb_error *err, void *userdata);
    void *reload_userdata; /**< handed to reload */
    uint32_t log_format;   /**< enum jb_host_log_format, for jb_host_log_line(); default TEXT */
    uint32_t _reserved2;
    uint64_t max_hold_ns; /**< longest that a lossless subscription of a client of the network holds
                               publishers back; it is overtaken then, and told what it missed. What
                               the client asks for counts if it is shorter; default 0, for ever */
    uint32_t no_bus; /**< 1: no bus is opened or served, only services of the program's own, see
                            service.h, and health, metrics and reflection; default 0 */
    uint32_t _reserved3;
} jb_host_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_host_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_host_opts_init(jb_host_opts *opts, uint32_t size);

/**
 * Walk the text names of the options, for help texts and flags.
 *
 * @param idx       0, 1, 2 … until the call returns JB_ENOENT.
 * @param ret_name  "max_body_bytes" …   @param ret_arg  what the value is, "BYTES", "SECONDS" …;
 *                  "" for a switch, whose value is yes or no
 * @param ret_help  one sentence. All static storage; each output may be NULL.
 *
 * @return 0, or JB_ENOENT past the end.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_host_opts_key(uint32_t idx, const char **ret_name, const char **ret_arg,
                            const char **ret_help);

/**
 * Set one option from text.
 *
 * @param key    a name from jb_host_opts_key().
 * @param value  a number of bytes may end in K, M or G (powers of 1024); a time is in seconds and
 *               may have a fraction; log_level is debug, info, warn or error.
 *
 * @return 0, or JB_ENOENT (no such option, or none within opts->size), JB_EINVAL (not a value for
 * it; the option is unchanged).
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_host_opts_set(jb_host_opts *opts, const char *key, const char *value, jb_error *err);

/**
 * One option as text that jb_host_opts_set() takes.
 *
 * @param buf  NUL-terminated on success; 256 bytes are always enough.
 *
 * @return 0, or JB_ENOENT (no such option, or none within opts->size), JB_ETOOBIG (buf is too
 * small), JB_EINVAL (an argument is NULL).
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_host_opts_get(const jb_host_opts *opts, const char *key, char *buf, size_t cap);

/**
 * Look at options as jb_host_create() would, without a bus and without an address: ranges, tokens,
 * certificates.
 *
 * @return 0, or JB_EINVAL, JB_EPARSE, JB_ESYS; err->msg names option or file.
 *
 * Threads: any. Blocks: for files. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_opts_check(const jb_host_opts *opts, jb_error *err);

/**
 * Write one log line with time and level, for a program's `log`.
 *
 * @param program  goes into text lines.   @param buf  NUL-terminated, with a line end; what does
 *                 not fit is cut off; 2048 bytes always do.
 *
 * @return bytes written, without the NUL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API size_t jb_host_log_line(uint32_t format, const char *program, uint32_t level,
                               const char *line, char *buf, size_t cap);

/**
 * Set options from a file of `key = value` lines; `;` and `#` begin a comment line; a section
 * heading `[jimbotd]` is allowed.
 *
 * @return 0, or JB_ESYS (cannot be read), JB_EPARSE (a line is no setting, names no option or has
 * no value for it; err->msg names file and line). On failure `opts` is unchanged.
 *
 * Threads: any, on distinct objects. Blocks: for file operations. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_opts_load_file(jb_host_opts *opts, const char *path, jb_error *err);

/**
 * Set options from the environment: option `max_body_bytes` from JIMBOTD_MAX_BODY_BYTES, and so on.
 * A variable that is set but empty counts as not set.
 *
 * @return 0, or JB_EINVAL (err->msg names the variable). On failure `opts` is unchanged.
 *
 * Threads: none that changes the environment. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_opts_load_env(jb_host_opts *opts, jb_error *err);

/**
 * Open the bus unless one is given, bind the address and begin to listen.
 *
 * @param opts      NULL for the defaults.
 * @param uv_loop   a `uv_loop_t *` the caller runs, or NULL: the host makes one and jb_host_run()
 *                  runs it.
 * @param ret_host  the caller destroys it.
 *
 * @return 0, or JB_EINVAL (an option is out of range, an address is none or may not be listened
 * on, a file of TLS or tokens that cannot be used), JB_EPARSE (a line of the tokens), JB_ESYS (the
 * address is in use or not ours: err->os_errno, err->msg names it), JB_ENOMEM, or what
 * jb_bus_open() and jb_bus_subscribe() return.
 *
 * Threads: the loop's. Blocks: for files, name look-up. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_create(const jb_host_opts *opts, void *uv_loop, jb_host **ret_host,
                          jb_error *err);

/**
 * Run the host's own loop until it has stopped and drained.
 *
 * @return 0, or JB_ESTATE (it lives on the caller's loop, or has run already).
 *
 * Threads: one. Blocks: until jb_host_stop(). Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_run(jb_host *host);

/**
 * Ask the host to stop: no new connection; idle ones are closed; requests being received or
 * answered are finished within drain_timeout_ns. A second call ends the drain at once.
 *
 * Threads: any; also from a signal handler. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_host_stop(jb_host *host);

/**
 * Ask the host to read its settings (see jb_host_opts.reload), tokens and certificates again. A
 * token that is gone is refused from then on, also on connections that are open; those keep their
 * certificate. A file that is wrong is logged, and what it said before stays.
 *
 * Threads: any; also from a signal handler. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_host_reload(jb_host *host);

/**
 * Whether everything is closed after jb_host_stop(); then a loop of the caller's has nothing of the
 * host's left on it.
 *
 * Threads: the loop's. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API bool jb_host_is_stopped(const jb_host *host);

/**
 * The address bound, "127.0.0.1:41373", "[::1]:8080": with port 0 the one the system chose.
 *
 * @return NUL-terminated, borrowed until jb_host_destroy().
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API const char *jb_host_address(const jb_host *host);

/**
 * Close everything at once and free the host. On the caller's loop the last of it goes with the
 * next turns of the loop: `alloc` must last until that loop has nothing of the host's left, the bus
 * need not. NULL is fine.
 *
 * Threads: the loop's, outside its callbacks. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API void jb_host_destroy(jb_host *host);

/**
 * Make a bearer token and the line of the `tokens` file that lets it in.
 *
 * A line is the token's SHA-256 in hexadecimal, its scopes and its name; `#` begins a comment line.
 * Scopes are publish (events in), subscribe (events out), command (commands to the game, and its
 * poll for them), admin (metrics and statistics) and resource (leases and rates). A line `cn:NAME
 * SCOPES` says what the client whose certificate has this common name may; as soon as there is one,
 * certificates without a line may nothing.
 *
 * @param name       1 to 63 characters of ASCII, no blanks.   @param scopes  "publish,subscribe".
 * @param ret_token  for whoever is to use it; kept nowhere.   @param ret_line  for the file.
 *
 * @return 0, or JB_EINVAL (an argument; err->msg says which), JB_ESYS (no random bytes), JB_ENOMEM.
 *
 * Threads: any. Blocks: never. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_make_token(const char *name, const char *scopes, char ret_token[48],
                              char ret_line[256], jb_error *err);

/**
 * Walk what the server answers: one entry for each method of each path.
 *
 * @param idx           0, 1, 2 … until the call returns JB_ENOENT.
 * @param ret_method    "GET" …   @param ret_path  "/health" …
 * @param ret_statuses  the statuses it may answer with, "200 400 503". What a malformed,
 *                      oversized or forbidden request gets before its handler is asked is not in
 *                      the list. Static storage.
 *
 * @return 0, or JB_ENOENT past the end, JB_EINVAL (an output is NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_host_route_at(uint32_t idx, const char **ret_method, const char **ret_path,
                            const char **ret_statuses);

#ifdef __cplusplus
}
#endif
#endif
