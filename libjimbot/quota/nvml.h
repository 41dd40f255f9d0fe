/*
 * nvml.h: the few calls of NVIDIA's management library that we make, declared by hand and found at
 * run time.
 *
 * Invariant: nothing of the driver is needed to build, link or start; a function that this driver
 * does not have is NULL here, or stood in for by an older one of the same use.
 */
#ifndef JBI_QUOTA_NVML_H
#define JBI_QUOTA_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Answers of the driver, as NVIDIA numbers them. */
enum jbi_nvml_code {
    JBI_NVML_SUCCESS = 0,
    JBI_NVML_UNINITIALIZED = 1,
    JBI_NVML_INVALID_ARGUMENT = 2,
    JBI_NVML_NOT_SUPPORTED = 3,
    JBI_NVML_NO_PERMISSION = 4,
    JBI_NVML_NOT_FOUND = 6,
    JBI_NVML_INSUFFICIENT_SIZE = 7,
    JBI_NVML_INSUFFICIENT_POWER = 8,
    JBI_NVML_DRIVER_NOT_LOADED = 9,
    JBI_NVML_FUNCTION_NOT_FOUND = 13,
    JBI_NVML_GPU_IS_LOST = 15,
    JBI_NVML_RESET_REQUIRED = 16,
    JBI_NVML_UNKNOWN = 999
};

typedef void *jbi_nvml_device;

struct jbi_nvml_memory {
    uint64_t total;
    uint64_t free;
    uint64_t used; /* the driver's own included */
};

struct jbi_nvml_memory_v2 {
    uint32_t version; /* JBI_NVML_MEMORY_V2 */
    uint32_t _pad;
    uint64_t total;
    uint64_t reserved; /* the driver's own */
    uint64_t free;
    uint64_t used; /* without it */
};
#define JBI_NVML_MEMORY_V2 ((uint32_t)sizeof(struct jbi_nvml_memory_v2) | 2u << 24)

struct jbi_nvml_utilization {
    uint32_t gpu;
    uint32_t memory;
};

/* What of a running process stands at the same place in every version of the struct. Of what size
 * that is depends on the driver, not on the name of the call: some drivers of the _v3 name write 16
 * bytes for each, some 24, some 32. */
struct jbi_nvml_process {
    uint32_t pid;
    uint32_t _pad;
    uint64_t used;
};
enum { JBI_NVML_PROCESS_BYTES_MAX = 32 };

struct jbi_nvml_sample {
    uint32_t pid;
    uint32_t _pad;
    uint64_t time_us;
    uint32_t sm_percent;
    uint32_t memory_percent;
    uint32_t encoder_percent;
    uint32_t decoder_percent;
};

typedef int (*jbi_nvml_list_fn)(jbi_nvml_device, uint32_t *, void *);

struct jbi_nvml {
    void *library;
    bool is_started;
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*count)(uint32_t *);
    int (*handle)(uint32_t, jbi_nvml_device *);
    int (*uuid)(jbi_nvml_device, char *, uint32_t);
    int (*name)(jbi_nvml_device, char *, uint32_t);
    int (*memory_v2)(jbi_nvml_device, struct jbi_nvml_memory_v2 *);
    int (*memory)(jbi_nvml_device, struct jbi_nvml_memory *);
    int (*utilization)(jbi_nvml_device, struct jbi_nvml_utilization *);
    jbi_nvml_list_fn compute;
    jbi_nvml_list_fn graphics;
    int (*samples)(jbi_nvml_device, struct jbi_nvml_sample *, uint32_t *, uint64_t);
};

/* Load and start it. False with a sentence in `why` when there is no driver to speak to; nothing is
 * left loaded then. */
bool jbi_nvml_start(struct jbi_nvml *nvml, const char *library, char *why, size_t cap_bytes);

/* Start it again after it said that it is not; the handles of before are dead. */
int jbi_nvml_restart(struct jbi_nvml *nvml);

void jbi_nvml_stop(struct jbi_nvml *nvml);

/* What a code means, in the driver's words where it has some. Never NULL. */
const char *jbi_nvml_text(const struct jbi_nvml *nvml, int code);

/* True when the code says that this GPU cannot be used any more, or not until it is reset. */
bool jbi_nvml_is_lost(int code);

/* The size of each of `n` processes, seen by how far the driver wrote over a buffer that was filled
 * with JBI_NVML_FILL before. */
enum { JBI_NVML_FILL = 0xa5 };
size_t jbi_nvml_process_bytes(const uint8_t *bytes, size_t len_bytes, uint32_t n);

#endif
