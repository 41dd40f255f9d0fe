/*
 * segment_layout.h: the first page of every segment, and the table of its peers: a contract between
 * processes that may run different builds.
 *
 * Invariant: a segment whose header passes jbi_segment_verify() was made by a program with this
 * very layout: same byte order, same field offsets, same fingerprint. Everything after the header
 * is found by arithmetic on params[], never by an offset read from the file.
 */
#ifndef JBI_SHM_SEGMENT_LAYOUT_H
#define JBI_SHM_SEGMENT_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JBI_LAYOUT_VERSION = 2,
    JBI_CACHE_LINE = 64,
    JBI_SEGMENT_HEADER_BYTES = 4096,
    JBI_SEGMENT_PARAMS = 8,
    JBI_NAME_BYTES = 32,
    JBI_PEERS_MAX = 254
};

#define JBI_SEGMENT_MAGIC      "JIMBOT\r\n"
#define JBI_SEGMENT_BYTE_ORDER 0x0102030405060708u
#define JBI_SEGMENT_READY      0x59444145525f424au

/* Bytes of the file that are locked, far behind its end so that they never meet data: one that
 * serialises coming and going, and one for each peer number. */
#define JBI_LOCK_LIFECYCLE (UINT64_C(1) << 48)
#define JBI_LOCK_PEERS     (JBI_LOCK_LIFECYCLE + 1)

enum jbi_segment_flags { JBI_SEGMENT_KEEP = 1 }; /* it outlives its last peer */

/* Written once by the creator before the file has a name; read-only afterwards.
 *
 * The part up to boot_id, and the bytes that are locked, are the same in every version of the
 * layout, so that any version can tell whether a segment of any other is still in use, and bury
 * it if not. */
struct jbi_segment_header {
    char magic[8];
    uint64_t byte_order;
    uint64_t layout_version;
    uint32_t flags; /* enum jbi_segment_flags */
    uint32_t creator_pid;
    uint64_t boot_id[2];  /* of the machine's run in which it was made; see jbi_os_boot_id() */
    uint64_t fingerprint; /* hash of what the layout depends on, and of every other word here */
    uint64_t size_bytes;  /* of the whole file */
    uint64_t params
        [JBI_SEGMENT_PARAMS]; /* what the creator chose; the meaning is the user's of this room */
    uint64_t created_ns;      /* monotonic */
    uint64_t utc_offset_ns;   /* UTC minus monotonic at creation */
    uint64_t creator_start;   /* see jbi_os_process_start() */
    _Atomic uint64_t ready;   /* JBI_SEGMENT_READY, stored last */
};

/* One open handle. Whether its owner lives is asked of the kernel (a lock on the file), never of
 * `state`: a dead owner cannot clear it. Fields of the first line are written by the owner while it
 * attaches; counters only grow, also across owners, so that sums over the table are sums over the
 * life of the bus. */
struct jbi_peer_slot {
    _Atomic uint32_t state; /* 0 free, 1 in use; left at 1 by a crash */
    uint32_t pid;
    uint64_t pid_start;
    uint64_t attached_ns;
    char name[JBI_NAME_BYTES];
    uint64_t _pad0;
    _Atomic uint64_t n_published;
    _Atomic uint64_t n_bytes;
    _Atomic uint64_t n_aborted;
    _Atomic uint64_t n_full;
    uint64_t base[4]; /* the four counters as the present owner found them */
    /* What the first thread of the handle that published adds to n_published and n_bytes: plainly,
     * for it is alone on these. */
    _Atomic uint64_t n_published_first;
    _Atomic uint64_t n_bytes_first;
    _Atomic uint64_t n_over_budget;
    uint64_t base_over_budget;
    uint64_t _pad1[4];
};

static_assert(sizeof(struct jbi_segment_header) <= JBI_SEGMENT_HEADER_BYTES, "one page");
static_assert(offsetof(struct jbi_segment_header, boot_id) == 32, "the same in every version");
static_assert(offsetof(struct jbi_segment_header, fingerprint) == 48, "layout");
static_assert(offsetof(struct jbi_segment_header, params) == 64, "layout");
static_assert(offsetof(struct jbi_segment_header, ready) == 152, "layout");
static_assert(sizeof(struct jbi_segment_header) == 160, "layout");
static_assert(offsetof(struct jbi_peer_slot, n_published) == JBI_CACHE_LINE,
              "counters on their own line");
static_assert(sizeof(struct jbi_peer_slot) == 3 * JBI_CACHE_LINE, "layout");

#endif
