/**
 * jimbot/schema.h: events between JSON, protobuf and native values.
 *
 * An event enters as JSON text, as a Lua table or Python dict (value by value, see
 * jb_encoder_begin()) or as protobuf, and is from then on a serialised `jimbot.v1.Event`. Nothing a
 * client sent is dropped: a key or a value that the schema cannot express is kept in the `extras`
 * of the message it stood in and comes back from jb_event_to_json().
 *
 * @code
 *     jb_encoder *enc;
 *     jb_encoded ev;
 *     jb_encoder_create(NULL, &enc, NULL);
 *     if (jb_encoder_json(enc, text, len, &ev, &err) < 0)
 *         fprintf(stderr, "byte %llu: %s\n", (unsigned long long)err.offset, err.msg);
 *     jb_encoder_destroy(enc);
 * @endcode
 *
 * An encoder serves one thread at a time and owns the buffer its results point into. Everything
 * else here is a pure function. All input is untrusted: depth, sizes and counts are bounded, and a
 * failure leaves no partial output.
 */
#ifndef JIMBOT_SCHEMA_H
#define JIMBOT_SCHEMA_H

#include "jimbot/command.h"
#include "jimbot/event.h"
#include "jimbot/field.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Turns JSON and native values into serialised events. Opaque. */
typedef struct jb_encoder jb_encoder;

/** How strictly text is read. */
enum jb_encoder_flags {
    JB_ENCODER_STRICT = 1,   /**< RFC 8259 exactly: takes the first four of enum jb_quirk out of
                             jb_encoder_opts.quirks; the default is lenient */
    JB_ENCODER_CANONICAL = 2 /**< events in the form that jb_event_canonical() makes: those that are
                                equal are equal bytes, whatever order their members came in */
};

/**
 * What clients get wrong and an encoder survives, each switchable and each counted. Of a quirk that
 * is switched off, text is refused with JB_EPARSE (the first four, which RFC 8259 forbids) or with
 * JB_EEVENT (keys that come twice, bytes that are not UTF-8 in value calls); a value of the others
 * is then not understood, and kept in `extras` as whatever does not fit its field.
 */
enum jb_quirk {
    JB_QUIRK_NON_FINITE = 1,       /**< bare inf, -inf, nan, Infinity, NaN: the number */
    JB_QUIRK_CONTROL_BYTES = 2,    /**< a raw byte below 0x20 in a string: itself */
    JB_QUIRK_BAD_UTF8 = 4,         /**< bytes of a string that are not UTF-8: U+FFFD */
    JB_QUIRK_HALF_SURROGATES = 8,  /**< `\ud800` without its other half: U+FFFD */
    JB_QUIRK_COERCED = 16,         /**< "5" for a number, 5 for a text, 1 for a bool */
    JB_QUIRK_SPELLINGS = 32,       /**< a value of an enum otherwise than the dialect spells it:
                                     "holo", "UNKNOWN_STATE_5", 3 for a name */
    JB_QUIRK_EMPTY_LISTS = 64,     /**< `{}` where a list belongs: the empty list */
    JB_QUIRK_DUPLICATE_KEYS = 128, /**< a key twice in one object: the last one counts */
    JB_QUIRKS_ALL = 255
};

/**
 * A way to spell events in JSON; docs/design/schema.md says what they are. Each is a table made
 * from a file of proto/dialects, in this order.
 */
enum jb_dialect {
    JB_DIALECT_BALATROMCP =
        0, /**< events of the BalatroMCP mod: an object with `type`; the default */
    JB_DIALECT_BALATROBOT = 1, /**< game states of balatrobot v1, alone or as the `result` of a
                                  JSON-RPC response */
    JB_DIALECT_PROTOBUF = 2    /**< the JSON mapping of Protocol Buffers */
};

/** Options of an encoder; start from jb_encoder_opts_init(). */
typedef struct jb_encoder_opts {
    uint32_t size;            /**< set by jb_encoder_opts_init() */
    uint32_t flags;           /**< enum jb_encoder_flags */
    uint32_t max_event_bytes; /**< largest event it makes; default and maximum JB_EVENT_MAX_BYTES */
    uint32_t max_batch_bytes; /**< largest sum of one batch; default 64 MiB */
    uint32_t max_depth;       /**< deepest nesting of the input; default 64, at most 256 */
    uint32_t quirks;          /**< enum jb_quirk, those survived; default JB_QUIRKS_ALL */
    const jb_alloc *alloc;    /**< NULL for libc */
    uint32_t dialect; /**< enum jb_dialect, of what it reads; default JB_DIALECT_BALATROMCP */
    uint32_t _reserved;
} jb_encoder_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_encoder_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_encoder_opts_init(jb_encoder_opts *opts, uint32_t size);

/** One event as an encoder made it. All pointers are borrowed from the encoder, see the call that
 * filled it in. */
typedef struct jb_encoded {
    const uint8_t *data; /**< serialised jimbot.v1.Event */
    const char
        *event_id; /**< its event_id inside `data`, not NUL-terminated; NULL when it has none */
    uint32_t len_bytes;      /**< length of data */
    uint32_t event_id_bytes; /**< length of event_id */
    uint32_t n_repairs;      /**< quirks survived, of all kinds; see jb_encoder_get_stats() */
    uint16_t type;           /**< enum jb_event_type */
    uint8_t priority;        /**< enum jb_priority */
    uint8_t topic_bytes;     /**< length of topic */
    double source_time;      /**< the source's timestamp, NaN when it gave none */
    char topic[128]; /**< the topic this event belongs on, NUL-terminated, e.g. "game.money.changed"
                      */
} jb_encoded;

/**
 * Create an encoder. Allocates its working buffer at once and again only when an event or batch is
 * larger than any before.
 *
 * @param opts         NULL for the defaults.
 * @param ret_encoder  the caller destroys it.
 *
 * @return 0, or JB_ENOMEM, JB_EINVAL (an option is out of range).
 *
 * Threads: any. Blocks: never. Allocates: yes. Game thread: set-up only.
 * Since: 0.1
 */
JB_API int jb_encoder_create(const jb_encoder_opts *opts, jb_encoder **ret_encoder, jb_error *err);

/**
 * Destroy an encoder and everything borrowed from it. NULL is fine.
 *
 * Threads: one at a time. Blocks: never. Allocates: never. Game thread: set-up only.
 * Since: 0.1
 */
JB_API void jb_encoder_destroy(jb_encoder *encoder);

/** What an encoder has made since it was created, and how often each quirk was met in it. */
typedef struct jb_encoder_stats {
    uint32_t size; /**< set by the caller */
    uint32_t _reserved;
    uint64_t n_events;          /**< made */
    uint64_t n_non_finite;      /**< JB_QUIRK_NON_FINITE, and so on */
    uint64_t n_control_bytes;   /**< each byte counts */
    uint64_t n_bad_utf8;        /**< each U+FFFD counts */
    uint64_t n_half_surrogates; /**< each U+FFFD counts */
    uint64_t n_coerced;
    uint64_t n_spellings;
    uint64_t n_empty_lists;
    uint64_t n_duplicate_keys; /**< each occurrence after the first counts */
} jb_encoder_stats;

/**
 * Read the counters of an encoder. Of events that were refused nothing is counted.
 *
 * @param ret_stats  `size` must be set.   @return 0, or JB_EINVAL.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_get_stats(const jb_encoder *encoder, jb_encoder_stats *ret_stats);

/**
 * Encode the JSON text of one event, in the encoder's dialect (see docs/design/schema.md).
 *
 * @param text         need not be NUL-terminated; leading and trailing white space is fine.
 * @param ret_encoded  valid until the next call on this encoder.
 *
 * @return 0, or JB_EPARSE (not JSON), JB_EEVENT (JSON, but not an object with a `type`, or
 * nested deeper than max_depth, or with a quirk that is switched off), JB_ETOOBIG. err->offset is
 * the byte in `text`.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_json(jb_encoder *encoder, const char *text, size_t len_bytes,
                           jb_encoded *ret_encoded, jb_error *err);

/**
 * Begin to encode a body that holds one event, an array of events, or a batch envelope
 * `{"events":[…]}`.
 *
 * @param text  borrowed until the last jb_encoder_batch_next().
 *
 * @return 0, or JB_EINVAL. The text is looked at by jb_encoder_batch_next() only.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_batch_begin(jb_encoder *encoder, const char *text, size_t len_bytes,
                                  jb_error *err);

/**
 * Encode the next event of the body. Everything it returned stays valid until the encoder is used
 * for something else, so a caller can read the whole body first and publish only if the body was
 * sound to its last byte.
 *
 * @return 1 and one event; 0 at the end of a body that was sound JSON;
 *         JB_EEVENT or JB_ETOOBIG when this one element is not an event (its place in the count is
 * used up; go on calling); JB_EPARSE when the body is not JSON (stop; nothing of it should be
 * used).
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_batch_next(jb_encoder *encoder, jb_encoded *ret_encoded, jb_error *err);

/**
 * Encode an event value by value, without any text in between: jb_encoder_begin(), then the members
 * of the event's *envelope* (`event_id`, `timestamp`, `payload` …) as key and value calls, then
 * jb_encoder_end(). Values nest with open/close calls; inside an object every value is preceded by
 * jb_encoder_key(), inside a list it is not.
 *
 * Saying the same `type` again as a member is fine; another, or a `subtype` that would make it
 * another type, is JB_ESTATE. In the events nested in `changes`, `type` and `subtype` are members;
 * give them before `payload`, which otherwise has to be kept as text and read again when the event
 * closes.
 *
 * The first failure sticks: later calls return it, jb_encoder_end() reports it, jb_encoder_begin()
 * clears it. So a binding may ignore the results in between.
 *
 * Keys and values are spelled in the encoder's dialect, whichever key it has for the payload;
 * `payload` is understood in all of them.
 *
 * @param type     "GAME_STATE", "LEARNING_DECISION" … as a client of BalatroMCP would spell it in
 * JSON; not NULL, not empty.
 * @param subtype  "REQUEST" … or NULL.
 *
 * @return 0, or JB_EINVAL, JB_ENOMEM.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_begin(jb_encoder *encoder, const char *type, size_t type_bytes,
                            const char *subtype, size_t subtype_bytes);

/**
 * Name the next value.
 *
 * @return 0, or JB_ESTATE (not inside an object, or two keys in a row), JB_ETOOBIG, JB_EEVENT (a
 * key twice, or not UTF-8, where that quirk is switched off).
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_key(jb_encoder *encoder, const char *key, size_t len_bytes);

/**
 * Open an object as the next value.
 *
 * @return 0, or JB_ESTATE (a key is missing), JB_ELIMIT (nested deeper than max_depth).
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_object_open(jb_encoder *encoder);

/**
 * Open a list as the next value. Same rules as jb_encoder_object_open().
 *
 * @return 0, or JB_ESTATE, JB_ELIMIT.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_list_open(jb_encoder *encoder);

/**
 * Close what was opened last, object or list.
 *
 * @return 0, or JB_ESTATE (nothing is open, or a key has no value).
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_close(jb_encoder *encoder);

/**
 * The next value is a string. Bytes that are not UTF-8 are replaced with U+FFFD and counted.
 *
 * @return 0, or JB_ESTATE, JB_ETOOBIG.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_string(jb_encoder *encoder, const char *value, size_t len_bytes);

/**
 * The next value is a number. Any double, non-finite ones too.
 *
 * @return 0, or JB_ESTATE, JB_ETOOBIG.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_double(jb_encoder *encoder, double value);

/**
 * The next value is an integer, kept exactly also beyond 2^53.
 *
 * @return 0, or JB_ESTATE, JB_ETOOBIG.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_int(jb_encoder *encoder, int64_t value);

/**
 * The next value is true or false.
 *
 * @return 0, or JB_ESTATE, JB_ETOOBIG.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_bool(jb_encoder *encoder, bool value);

/**
 * The next value is null.
 *
 * @return 0, or JB_ESTATE, JB_ETOOBIG.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_null(jb_encoder *encoder);

/**
 * A key and its string in one call: jb_encoder_key() and jb_encoder_string(), for bindings that pay
 * for every crossing of their border.
 *
 * @return as the two calls.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_put_string(jb_encoder *encoder, const char *key, size_t key_bytes,
                                 const char *value, size_t value_bytes);

/**
 * A key and its number in one call: jb_encoder_key() and jb_encoder_double().
 *
 * @return as the two calls.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_put_double(jb_encoder *encoder, const char *key, size_t key_bytes,
                                 double value);

/**
 * Close the event that jb_encoder_begin() opened.
 *
 * @param ret_encoded  valid until the next call on this encoder.
 *
 * @return 0, or the first failure since jb_encoder_begin(): JB_ESTATE (something is still open),
 * JB_ETOOBIG, JB_ELIMIT.
 *
 * Threads: one at a time per encoder. Blocks: never. Allocates: only to grow. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_encoder_end(jb_encoder *encoder, jb_encoded *ret_encoded, jb_error *err);

/**
 * Check bytes that claim to be a serialised jimbot.v1.Event, and read what the ring's header wants
 * to know.
 *
 * @param ret_encoded  `data` and `event_id` point into the caller's bytes.
 *
 * @return 0, or JB_EPROTO (truncated, bad wire type, nested too deep, invalid UTF-8), JB_EEVENT (no
 * type), JB_ETOOBIG.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_event_inspect(const void *data, size_t len_bytes, jb_encoded *ret_encoded,
                            jb_error *err);

/**
 * Write an event as JSON text in BalatroMCP's dialect: what was sent in it comes back, value for
 * value. Doubles are printed with the fewest digits that read back exactly;
 * non-finite ones as "Infinity", "-Infinity", "NaN".
 *
 * Bytes may come from anybody: text that claims to be JSON and is not becomes a string. Fields of a
 * newer schema stay in the bytes and are left out of the text. Of a field that occurs twice the
 * last occurrence is written.
 *
 * @param buf        where to write; may be NULL when cap_bytes is 0. Not NUL-terminated.
 * @param cap_bytes  room in buf.
 *
 * @return the length of the text. When it is larger than cap_bytes nothing useful is in buf: call
 * again with more room. Or JB_EPROTO (not a serialised event; err has the byte and the path, and no
 * part of a text is left in buf), JB_EINVAL (NULL with a length).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int64_t jb_event_to_json(const void *data, size_t len_bytes, char *buf, size_t cap_bytes,
                                jb_error *err);

/**
 * Write an event as JSON text in a dialect, whatever dialect it came in. jb_event_to_json() is this
 * with JB_DIALECT_BALATROMCP.
 *
 * What came in this dialect comes back value for value, but for JB_DIALECT_PROTOBUF, which has one
 * spelling for every value. Of an event that came in another one the typed fields are written, and
 * what no field could hold where its key means nothing else here.
 *
 * @param dialect  enum jb_dialect.
 *
 * @return as jb_event_to_json(); or JB_EINVAL (no such dialect), JB_EEVENT (the dialect has no word
 * for events of this type: balatrobot's has game states only).
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int64_t jb_event_to_json_as(uint32_t dialect, const void *data, size_t len_bytes, char *buf,
                                   size_t cap_bytes, jb_error *err);

/**
 * Name of a dialect, "balatromcp"; NULL for a number that is none. Static storage.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_dialect_name(uint32_t dialect);

/**
 * The dialect of a name.
 *
 * @return enum jb_dialect, or JB_ENOENT.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_dialect_find(const char *name, size_t len_bytes);

/**
 * Make the canonical form of an event, whoever encoded it: events that are equal have equal bytes.
 *
 * Fields stand by number, those of a newer schema after the others and otherwise as they are; lists
 * of numbers are packed, entries of maps by key, `extras` by key and index; JSON text within has no
 * spaces and its members by key. Of what may be there once the last counts, and messages in pieces
 * are merged, as protobuf says. It is the same event to every reader of protobuf;
 * jb_event_to_json() writes its members in another order, and of a message in pieces all instead of
 * the last. The canonical form of a canonical form is itself.
 *
 * @param buf        where to write; may be NULL when cap_bytes is 0, and must not overlap `data`.
 * @param cap_bytes  room in buf.
 *
 * @return the length. When it is larger than cap_bytes nothing is in buf: call again with more
 * room. Or as jb_event_inspect(), or JB_ENOMEM.
 *
 * Threads: any. Blocks: never. Allocates: in proportion to the event, and frees it. Game thread: an
 * encoder with JB_ENCODER_CANONICAL keeps that memory.
 * Since: 0.1
 */
JB_API int64_t jb_event_canonical(const void *data, size_t len_bytes, uint8_t *buf,
                                  size_t cap_bytes, jb_error *err);

/**
 * Name of an event type as clients spell it, "MONEY_CHANGED"; NULL for a number that is none.
 * Static storage.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_event_type_name(uint32_t type);

#ifdef __cplusplus
}
#endif
#endif
