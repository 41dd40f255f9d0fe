/**
 * jimbot/observe.h: what really happens to memory, against what was promised: graphics memory as
 * the driver reports it, main memory as the kernel does.
 *
 * @code
 *     jb_gpus_open(NULL, &gpus, NULL);          // no driver: no GPUs, and no error
 *     if (jb_gpus_read(gpus, 0, &gpu, processes, 64) >= 0) {
 *         jb_vram_claim ours[] = {{.pid = trainer, .reserved_bytes = 8u << 30}};
 *
 *         jb_vram_weigh(&gpu, processes, n, ours, 1, &books);
 *         // books.withheld_bytes are not to be promised to anybody
 *     }
 *     jb_gpus_close(gpus);
 * @endcode
 *
 * Two ledgers of graphics memory: what is *reserved* (promised to components), and what is
 * *observed* (NVML, loaded at run time). A promise is made only when both agree that there is room:
 * programs that know nothing of promises take memory too, and components take more than they were
 * promised.
 *
 * Caveats first:
 *  - Readings are for a timer, ten times a second at most: the driver may take milliseconds, and a
 *    driver in trouble much longer. Nothing here is for a game's thread.
 *  - Process ids are those of the machine. In a container with process ids of its own the driver
 *    names processes that nobody inside knows; what cannot be told apart is then counted against
 *    the promises first (see jb_vram_weigh()).
 *  - A GPU that is cut into instances (MIG) is read as a whole.
 *  - Nothing here ends a process. What uses more than it may is reported, and asked to shrink.
 *
 * Threads: a jb_gpus is used by one thread at a time.
 */
#ifndef JIMBOT_OBSERVE_H
#define JIMBOT_OBSERVE_H

#include "jimbot/quota.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The GPUs of this machine, as its driver reports them. Opaque. */
typedef struct jb_gpus jb_gpus;

/** Limits, and values for what is not known. */
enum {
    JB_GPU_PROCESSES_MAX = 1024, /**< processes of one reading; more are counted, not told apart */
    JB_GPU_NAME_BYTES = 96
};

/** Whose process ids the driver speaks of. */
enum jb_gpus_pids {
    JB_GPUS_PIDS_DETECT = 0, /**< ours, unless this process has a namespace of its own for them */
    JB_GPUS_PIDS_OURS = 1,
    JB_GPUS_PIDS_FOREIGN = 2
};

/** Options of jb_gpus_open(); start from jb_gpus_opts_init(). */
typedef struct jb_gpus_opts {
    uint32_t size; /**< set by jb_gpus_opts_init() */
    uint32_t pids; /**< enum jb_gpus_pids */
    const char
        *library; /**< the driver's library, a name or a path; default NULL: libnvidia-ml.so.1
                            as the dynamic linker finds it */
    const jb_alloc *alloc; /**< default NULL: libc's */
} jb_gpus_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_gpus_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_gpus_opts_init(jb_gpus_opts *opts, uint32_t size);

/**
 * Load the driver's library and look which GPUs there are.
 *
 * A machine without driver, without GPU, or with a driver that does not answer has no GPUs: that is
 * success, jb_gpus_count() is 0 and jb_gpus_why() says why.
 *
 * @param opts      NULL for the defaults.
 * @param ret_gpus  the caller closes it.
 *
 * @return 0, or JB_EINVAL, JB_ENOMEM.
 *
 * Threads: any. Blocks: while the driver starts, up to seconds. Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_gpus_open(const jb_gpus_opts *opts, jb_gpus **ret_gpus, jb_error *err);

/**
 * How many GPUs there are; those of the last jb_gpus_open() or jb_gpus_rescan(). 0 for NULL.
 *
 * Threads: one at a time per object. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API uint32_t jb_gpus_count(const jb_gpus *gpus);

/**
 * Why there are no GPUs, in a sentence; "" when there are. Dead after the next call.
 *
 * Threads: one at a time per object. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API const char *jb_gpus_why(const jb_gpus *gpus);

/**
 * Look again which GPUs there are: after a reading was JB_GPU_LOST, or to find a driver that came
 * later. Numbers of GPUs may change; their uuid does not.
 *
 * @return how many there are, or JB_EINVAL, JB_ENOMEM, JB_ESTATE (after fork).
 *
 * Threads: one at a time per object. Blocks: as jb_gpus_open(). Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_gpus_rescan(jb_gpus *gpus);

/** What became of a reading. */
enum jb_gpu_state {
    JB_GPU_FINE = 0,   /**< the driver answered */
    JB_GPU_SILENT = 1, /**< this time it did not say how much memory is used; try again */
    JB_GPU_LOST =
        2 /**< it fell off the bus, must be reset, or is gone: nothing is to be promised */
};

/** One process on a GPU. */
typedef struct jb_gpu_process {
    uint32_t pid;
    uint32_t busy_percent; /**< of the GPU, lately; UINT32_MAX: not known */
    uint64_t used_bytes;   /**< of its memory; UINT64_MAX: not known */
} jb_gpu_process;

/** One GPU at one moment. */
typedef struct jb_gpu_reading {
    uint32_t size;         /**< sizeof, set by the caller */
    uint32_t state;        /**< enum jb_gpu_state */
    uint64_t time_ns;      /**< when it was taken */
    uint64_t total_bytes;  /**< memory there is; 0: not known */
    uint64_t used_bytes;   /**< of that, not free, the driver's own included; 0 .. total_bytes;
                              UINT64_MAX: not known */
    uint32_t busy_percent; /**< time that something ran, lately; UINT32_MAX: not known */
    uint32_t n_processes;  /**< processes seen, also those there was no room for */
    uint32_t is_complete;  /**< 1: every process on it is in the list, under its own process id */
    int32_t driver_code;   /**< the last answer of the driver that was not success; 0: none */
    char uuid[96];         /**< "" when the driver does not say */
    char name[96];
} jb_gpu_reading;

/**
 * Read one GPU.
 *
 * @param idx            0 .. jb_gpus_count() - 1.
 * @param ret_reading    `size` must be set.
 * @param ret_processes  each process once; NULL with n_max 0.
 *
 * @return how many processes were written; or JB_ENOENT (no such GPU), JB_EINVAL, JB_ESTATE (after
 * fork). A GPU that is lost is success with that state.
 *
 * Threads: one at a time per object. Blocks: for a few calls of the driver. Allocates: never.
 * Game thread: no.
 * Since: 0.1
 */
JB_API int jb_gpus_read(jb_gpus *gpus, uint32_t idx, jb_gpu_reading *ret_reading,
                        jb_gpu_process *ret_processes, uint32_t n_max);

/**
 * Let the driver go. NULL is fine.
 *
 * Threads: one at a time per object. Blocks: while the driver stops. Allocates: never.
 * Game thread: no.
 * Since: 0.1
 */
JB_API void jb_gpus_close(jb_gpus *gpus);

/** What a process was promised of one GPU's memory: the sum of its leases. */
typedef struct jb_vram_claim {
    uint32_t pid;            /**< each once; 0: a holder that is no process here */
    uint32_t _reserved;      /**< 0 */
    uint64_t reserved_bytes; /**< promised */
    uint64_t observed_bytes; /**< set by jb_vram_weigh(): what it was seen to use */
} jb_vram_claim;

/** The two ledgers of one GPU's memory, side by side. */
typedef struct jb_vram_books {
    uint32_t size;           /**< sizeof, set by the caller */
    uint32_t is_blind;       /**< 1: nothing was observed, only the promises count */
    uint64_t total_bytes;    /**< what the GPU has; 0: not known */
    uint64_t reserved_bytes; /**< promised to all */
    uint64_t observed_bytes; /**< used by all */
    uint64_t foreign_bytes;  /**< used by who was promised nothing, the driver's own included */
    uint64_t overuse_bytes;  /**< used beyond what they were promised by those who were */
    uint64_t withheld_bytes; /**< foreign_bytes + overuse_bytes: what nobody may be promised */
} jb_vram_books;

/**
 * Weigh what was promised against what is used.
 *
 * The law: withheld_bytes + reserved_bytes is at least what is promised, and at least what is used;
 * what a component uses within its promise is counted once. A promise of `ask` may be made when
 * withheld + reserved + ask <= capacity - headroom; see jb_vram_room().
 *
 * Use that cannot be laid to a process (is_complete of the reading is 0, or its used_bytes are not
 * known) is laid to the claims it may belong to, up to what they were promised; what is left is
 * foreign. So is all use of others to claims of no process: a holder that is far away has somebody
 * here who works for it. Of a GPU that is lost, all is withheld; of one that is silent, nothing is
 * known and only promises count (is_blind), unless the caller keeps its last books.
 *
 * @param reading    of jb_gpus_read(), with `n_processes` of the list.
 * @param claims     each process once; observed_bytes are set.
 * @param ret_books  `size` must be set.
 *
 * @return 0, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_vram_weigh(const jb_gpu_reading *reading, const jb_gpu_process *processes,
                         uint32_t n_processes, jb_vram_claim *claims, uint32_t n_claims,
                         jb_vram_books *ret_books);

/**
 * How much may still be promised.
 *
 * @param capacity_bytes  what there is to promise from; the GPU's own total_bytes count when they
 * are less.
 * @param headroom_bytes  never promised: for what falls to pieces between allocations, and for the
 * driver's own part of each process.
 *
 * @return bytes; 0 when both ledgers together leave nothing.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API uint64_t jb_vram_room(const jb_vram_books *books, uint64_t capacity_bytes,
                             uint64_t headroom_bytes);

/** Main memory of one process at one moment. */
typedef struct jb_memory_reading {
    uint32_t size;         /**< sizeof, set by the caller */
    uint32_t parent_pid;   /**< of which process it is a child */
    uint64_t time_ns;      /**< when it was taken */
    uint64_t start;        /**< when the process started, in the kernel's ticks since boot: tells
                                    a process id that is used again apart */
    uint64_t rss_bytes;    /**< in main memory now, shared pages included */
    uint64_t shared_bytes; /**< of that, memory shared with others: a bus, for one */
    uint64_t swap_bytes;   /**< swapped out */
    uint64_t cgroup_bytes; /**< used by its whole control group (cgroup v2); UINT64_MAX: it is in
                                    none */
    uint64_t cgroup_limit_bytes; /**< of that group; UINT64_MAX: no limit, or none known */
} jb_memory_reading;

/**
 * Read what a process uses, and its control group.
 *
 * @param pid          0: this process.
 * @param ret_reading  `size` must be set.
 *
 * @return 0, or JB_ENOENT (no such process), JB_EPERM (it is hidden), JB_ESYS, JB_EPROTO (the
 * kernel's text is not what it should be), JB_EINVAL.
 *
 * Threads: any. Blocks: for a few reads of /proc. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_memory_read(uint32_t pid, jb_memory_reading *ret_reading, jb_error *err);

/** How a component keeps to what it was granted. */
enum jb_memory_state {
    JB_MEMORY_FINE = 0, /**< below four fifths of it */
    JB_MEMORY_WARN = 1, /**< four fifths and more; until it is below three quarters */
    JB_MEMORY_OVER =
        2 /**< more than all of it: it is asked to shrink; until it is below nine tenths */
};

/**
 * Judge what is used against what was granted. Nobody is ended over it.
 *
 * A state is left only some way below where it began, so that use at a bound is one change and not
 * many. Nothing granted and something used is JB_MEMORY_OVER.
 *
 * @param before            the state until now, enum jb_memory_state; JB_MEMORY_FINE at first.
 * @param ret_shrink_bytes  by how much it should shrink: to four fifths of what was granted; 0
 * unless the state is JB_MEMORY_OVER. NULL is fine.
 *
 * @return enum jb_memory_state, or JB_EINVAL.
 *
 * Threads: any. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_memory_judge(uint64_t granted_bytes, uint64_t used_bytes, uint32_t before,
                           uint64_t *ret_shrink_bytes);

/** Reads both ledgers for a coordinator, from a timer of the caller's. Opaque. */
typedef struct jb_observer jb_observer;

/** Options of jb_observer_open(); start from jb_observer_opts_init(). */
typedef struct jb_observer_opts {
    uint32_t size;         /**< set by jb_observer_opts_init() */
    uint32_t pids;         /**< enum jb_gpus_pids */
    uint64_t interval_ns;  /**< between two readings, 100 ms and more; default 1 s */
    const char *library;   /**< as of jb_gpus_opts */
    const jb_alloc *alloc; /**< default NULL: libc's */
} jb_observer_opts;

/**
 * Fill in the defaults.
 *
 * @param opts  not NULL.   @param size  sizeof(jb_observer_opts) of the caller.
 *
 * Threads: any, on distinct objects. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API void jb_observer_opts_init(jb_observer_opts *opts, uint32_t size);

/**
 * Get ready to observe for a coordinator: its resources of the kinds memory and GPU memory. One
 * observer for a coordinator is enough, whatever number of processes share it.
 *
 * @param coord         must outlive the observer.
 * @param opts          NULL for the defaults.
 * @param ret_observer  the caller closes it.
 *
 * @return 0, or JB_EINVAL, JB_ENOMEM, JB_ESTATE (after fork).
 *
 * Threads: any. Blocks: as jb_gpus_open(). Allocates: yes. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_observer_open(jb_coord *coord, const jb_observer_opts *opts,
                            jb_observer **ret_observer, jb_error *err);

/**
 * Read, weigh, and tell the coordinator what nobody may be promised (jb_coord_set_foreign() of each
 * resource of GPU memory), if interval_ns have passed since the last time.
 *
 * A process that a holder started, or one of those started, counts as the holder. While a GPU is
 * silent the numbers of before stay; of one that is lost, or was there and is no more, all is
 * withheld. Without a driver nothing is withheld, and the promises alone count.
 *
 * @param ret_next_ns  until the next call is worth it. NULL is fine.
 *
 * @return 1 (read), 0 (not yet time), or JB_EINVAL, JB_ESTATE (after fork).
 *
 * Threads: one at a time per object. Blocks: for the driver and for reads of /proc. Allocates: when
 * GPUs are looked for anew. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_observer_step(jb_observer *observer, uint64_t *ret_next_ns);

/**
 * The ledgers of a resource of GPU memory, as of the last step.
 *
 * @param ret_books  `size` must be set.
 *
 * @return 0, or JB_ENOENT (no such resource, or of another kind, or never read), JB_EINVAL.
 *
 * Threads: one at a time per object. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_observer_vram(const jb_observer *observer, uint32_t resource,
                            jb_vram_books *ret_books);

/** Main memory of one component, as of the last step. */
typedef struct jb_component_memory {
    uint32_t size;          /**< sizeof, set by the caller */
    uint32_t state;         /**< enum jb_memory_state */
    uint32_t n_processes;   /**< that hold leases on memory for it */
    uint32_t _reserved;     /**< 0 */
    uint64_t granted_bytes; /**< by all leases on resources of the kind memory */
    uint64_t used_bytes;    /**< by those processes: in main memory, and swapped out */
    uint64_t shrink_bytes;  /**< by how much it is asked to shrink; 0: it is not */
} jb_component_memory;

/**
 * How a component keeps to the memory it was granted. A change of the state is logged.
 *
 * @param ret_memory  `size` must be set.
 *
 * @return 0, or JB_ENOENT (no such component), JB_EINVAL.
 *
 * Threads: one at a time per object. Blocks: never. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_observer_memory(const jb_observer *observer, uint32_t component,
                              jb_component_memory *ret_memory);

/**
 * End it; what was withheld stays so. NULL is fine.
 *
 * Threads: one at a time per object. Blocks: while the driver stops. Allocates: never.
 * Game thread: no.
 * Since: 0.1
 */
JB_API void jb_observer_close(jb_observer *observer);

#ifdef __cplusplus
}
#endif
#endif
