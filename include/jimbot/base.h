/**
 * jimbot/base.h: what every other header stands on: export mark, version, status codes, error
 * detail, allocator, log hook, clock.
 *
 * Caveats first:
 *  - No function of this library aborts, exits, prints, or installs a signal handler. It reports,
 * the caller decides.
 *  - Status codes are ours, not errno: they cross processes and operating systems, and their
 * numbers never change and are never reused.
 *  - There is no "last error" anywhere. Detail is written into a jb_error the caller owns, if the
 * caller passed one.
 *
 * Conventions of all headers: `>= 0` is success (0 or a count), `< 0` one JB_E code; outputs named
 * `ret_x` are written only on success; sizes end in `_bytes`, times in `_ns` (CLOCK_MONOTONIC
 * unless the name says `_utc_ns`); strings are (pointer, length) where they come from outside and
 * NUL-terminated where the caller writes them as a literal.
 */
#ifndef JIMBOT_BASE_H
#define JIMBOT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(JB_FFI)
#define JB_API
#elif defined(__GNUC__)
#define JB_API __attribute__((visibility("default")))
#else
#define JB_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of these headers. Compare with jb_version() at run time: before 1.0 only an equal
 * MAJOR.MINOR is compatible. */
enum { JB_VERSION_MAJOR = 0, JB_VERSION_MINOR = 1, JB_VERSION_PATCH = 0 };

/**
 * All status codes: XX(name, number, Python class suffix and Lua key, sentence).
 *
 * This one list makes the enum below, jb_err_name(), jb_strerror(), the Python exception classes
 * and the Lua table.
 */
#define JB_ERR_MAP(XX)                                                                             \
    XX(JB_EINVAL, -1, Invalid, "an argument is outside what the header allows")                    \
    XX(JB_ENOMEM, -2, Memory, "the allocator returned nothing")                                    \
    XX(JB_ESYS, -3, System, "the operating system refused (see os_errno)")                         \
    XX(JB_EAGAIN, -4, Full,                                                                        \
       "no room now, nothing was done: a subscriber is behind, or others have it")                 \
    XX(JB_ETIMEDOUT, -5, Timeout, "the time given ran out")                                        \
    XX(JB_ENOENT, -6, NotFound, "no such bus, topic, field or lease")                              \
    XX(JB_EEXIST, -7, Exists, "a bus of that name exists already")                                 \
    XX(JB_ELAYOUT, -8, Layout, "the segment is foreign, unfinished, or of another layout version") \
    XX(JB_ECORRUPT, -9, Corrupt, "shared memory holds values that no writer of ours makes")        \
    XX(JB_ELIMIT, -10, Limit, "a capacity fixed when the bus was created is used up")              \
    XX(JB_ETOOBIG, -11, TooBig, "more than the bus, the encoder or the resource can ever take")    \
    XX(JB_EPARSE, -12, Parse, "the text is not JSON (see offset)")                                 \
    XX(JB_EEVENT, -13, Event, "the value is well-formed but not an event (see offset)")            \
    XX(JB_EPROTO, -14, Proto, "the bytes are not the protobuf message expected (see offset)")      \
    XX(JB_ESTATE, -15, State, "the call does not fit the object's state")                          \
    XX(JB_EPERM, -16, Permission, "the segment belongs to another user or is not accessible")      \
    XX(JB_ENOBUFS, -17, Buffer, "the caller's buffer is too small")                                \
    XX(JB_ECLOSED, -18, Closed, "the bus was closed")                                              \
    XX(JB_EEVICTED, -19, Evicted, "the subscription held publishers back for too long")

/** Status codes as an enum. JB_OK is 0. */
enum jb_err {
    JB_OK = 0,
#define JB_ERR_ENUM(name, number, short_name, sentence) name = (number),
    JB_ERR_MAP(JB_ERR_ENUM)
#undef JB_ERR_ENUM
};

/**
 * Detail of a failure, owned by the caller; every call that takes one accepts NULL.
 *
 * Written only on failure. `msg` is UTF-8, NUL-terminated, one sentence that names what and where.
 */
typedef struct jb_error {
    uint32_t size;    /**< sizeof(jb_error), for growth; set by jb_error_init() */
    int32_t code;     /**< enum jb_err, 0 when nothing failed */
    int32_t os_errno; /**< errno for JB_ESYS and JB_EPERM, else 0 */
    uint32_t _reserved;
    uint64_t offset; /**< byte offset into the input for JB_EPARSE, JB_EEVENT, JB_EPROTO; bytes
                        needed for JB_ENOBUFS */
    char msg[232];
} jb_error;

/**
 * Make an error empty.
 *
 * @param err  not NULL.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_error_init(jb_error *err);

/**
 * The run-time version as MAJOR << 16 | MINOR << 8 | PATCH.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API uint32_t jb_version(void);

/**
 * The run-time version as text, "0.1.0". Static storage.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_version_string(void);

/**
 * Name of a status code, "JB_EAGAIN"; "JB_OK" for 0 and "JB_E?" for a number that is none.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_err_name(int code);

/**
 * What a status code means, as half a sentence. Never NULL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_strerror(int code);

/**
 * Walk the status codes, for bindings that build their own table.
 *
 * @param idx             0, 1, 2 … until the call returns JB_ENOENT.
 * @param ret_code        the number.
 * @param ret_short_name  "Full", "Timeout" …: the class name in Python and the key in Lua. Static
 * storage.
 *
 * @return 0, or JB_ENOENT past the end, JB_EINVAL (an output is NULL).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_err_at(uint32_t idx, int32_t *ret_code, const char **ret_short_name);

/**
 * Where memory comes from. Given when an object is created; the object keeps a copy and uses it
 * until it is destroyed. All three functions must be set; `ctx` is handed back to each.
 */
typedef struct jb_alloc {
    void *(*alloc)(size_t size_bytes, void *ctx);
    void *(*realloc)(void *ptr, size_t old_size_bytes, size_t size_bytes, void *ctx);
    void (*free)(void *ptr, size_t size_bytes, void *ctx);
    void *ctx;
} jb_alloc;

/** Severity of a log line. */
enum jb_log_level { JB_LOG_DEBUG = 0, JB_LOG_INFO = 1, JB_LOG_WARN = 2, JB_LOG_ERROR = 3 };

/**
 * Receives log lines. May be called from any thread that is inside a call of this library; must not
 * call back into it. `line` is NUL-terminated, without a newline, dead after the call.
 */
typedef void (*jb_log_fn)(uint32_t level /* enum jb_log_level */, const char *line, void *userdata);

/**
 * Install the one log hook of the process; NULL silences it, which is the default.
 *
 * Threads: any, but set it before other threads use the library. Blocks: never. Allocates: never.
 * Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_log_set(jb_log_fn fn, void *userdata);

/**
 * Monotonic time in nanoseconds (CLOCK_MONOTONIC): the clock of every `_ns` in these headers,
 * comparable between the processes of one machine since its boot.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes (about 20 ns).
 * Since: 0.1
 */
JB_API uint64_t jb_clock_now_ns(void);

/**
 * Wall-clock time in nanoseconds since 1970-01-01 UTC.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes (about 20 ns).
 * Since: 0.1
 */
JB_API uint64_t jb_clock_utc_ns(void);

#ifdef __cplusplus
}
#endif
#endif
