/**
 * jimbot/slice.h: time on a device, in slices that are measured. A part of jimbot/quota.h, which
 * includes it.
 */
#ifndef JIMBOT_SLICE_H
#define JIMBOT_SLICE_H

#include "jimbot/quota.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Time on a device, in slices: @code
 *     jb_slice slice = {.component = trainer, .resource = gpu0};
 *
 *     jb_slice_begin(coord, &slice, UINT64_MAX);
 *     do
 *         step(); // as short as can be: nobody is interrupted
 *     while (more() && jb_slice_next(coord, &slice, UINT64_MAX) == 0);
 *     jb_slice_end(coord, &slice);
 * @endcode
 *
 * A slice is a lease on all of a resource of kind JB_RESOURCE_GPU_TIME (or of any other), and what
 * is measured is the time from its grant to its end. **Fair**, the default: who waits gets time by
 * weight, and what one does not use the others have. A component with a ceiling gets at most that
 * part of the capacity as its part of the time. **Strict** (JB_RESOURCE_STRICT): each component
 * gets its guaranteed part of the time, or without one the part that its weight is of the weights
 * of all such, of what is not guaranteed, and no more, also when the device is idle otherwise. Who
 * took too long waits so much the longer; who came late has up to one quantum to make up for it.
 */
typedef struct jb_slice {
    jb_lease lease;     /**< token 0: none; else the slice goes on */
    uint32_t component; /**< set by the caller, as the rest */
    uint32_t resource;
    uint32_t lease_class; /**< enum jb_lease_class */
    uint32_t _reserved;   /**< 0 */
    uint64_t amount;      /**< 0: all of it */
    uint64_t hold_ns;     /**< the lease expires after it; 0: max_hold_ns, or never */
    uint64_t used_ns;     /**< how long the slice before lasted; set at its end */
} jb_slice;

/**
 * Begin a slice, when it is our turn.
 *
 * @return 0, or JB_EAGAIN (timeout_ns is 0), JB_ETIMEDOUT, JB_ESTATE (the slice before goes on),
 *         JB_ETOOBIG, JB_ELIMIT, JB_EINVAL.
 *
 * Threads: any, on distinct slices. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_slice_begin(jb_coord *coord, jb_slice *slice, uint64_t timeout_ns);

/**
 * Begin a slice now or not at all.
 *
 * @return 0, or JB_EAGAIN, JB_ESTATE (the slice before goes on), JB_ETOOBIG, JB_ELIMIT, JB_EINVAL.
 *
 * Threads: any, on distinct slices. Blocks: never. Allocates: never. Game thread: yes.
 * Since: 0.1
 */
JB_API int jb_slice_try(jb_coord *coord, jb_slice *slice);

/**
 * Between two steps of one slice: may it go on?
 *
 * @return JB_LEASE_GOOD; JB_LEASE_NOTICE: the quantum is over and somebody waits, or it was given
 *         notice: end it, or call jb_slice_next(). JB_ENOENT (it has ended), JB_EINVAL.
 *
 * Threads: any, on distinct slices. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_slice_check(jb_coord *coord, const jb_slice *slice);

/**
 * End a slice and begin the next in one step: as long as it is our turn nobody gets in between, and
 * when it is not, we stand in line before others look at it. Ending and then beginning would give
 * the turn away to whoever waits, whatever the weights are.
 *
 * A slice that had ended by itself is begun anew.
 *
 * @return as jb_slice_begin(); after a failure there is no slice.
 *
 * Threads: any, on distinct slices. Blocks: up to timeout_ns. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_slice_next(jb_coord *coord, jb_slice *slice, uint64_t timeout_ns);

/**
 * End a slice. What is left of its time is others'.
 *
 * @return 0, or JB_ENOENT (it had ended; there is none now), JB_EINVAL.
 *
 * Threads: any, on distinct slices. Blocks: briefly. Allocates: never. Game thread: no.
 * Since: 0.1
 */
JB_API int jb_slice_end(jb_coord *coord, jb_slice *slice);

#ifdef __cplusplus
}
#endif
#endif
