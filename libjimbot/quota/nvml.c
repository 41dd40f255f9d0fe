/*
 * nvml.c: finding the driver's library and its functions.
 *
 * Each function is looked up under its newest name first. A library without the few that nothing
 * can be done without counts as no driver.
 */
#include "quota/nvml.h"

#include "base/os.h"

#include <stdio.h>
#include <string.h>

/* A function has another type than void *; ISO C has no cast between them, and POSIX promises that
 * both are of one size. */
static void find(void *library, const char *const *names, void *ret_fn)
{
    void *found = NULL;

    for (size_t i = 0; names[i] && !found; i++)
        found = jbi_os_library_find(library, names[i]);
    memcpy(ret_fn, &found, sizeof found);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void find_all(struct jbi_nvml *n)
{
    void *lib = n->library;

    find(lib, NAMES("nvmlInit_v2", "nvmlInit"), &n->init);
    find(lib, NAMES("nvmlShutdown"), &n->shutdown);
    find(lib, NAMES("nvmlErrorString"), &n->error_string);
    find(lib, NAMES("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"), &n->count);
    find(lib, NAMES("nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"), &n->handle);
    find(lib, NAMES("nvmlDeviceGetUUID"), &n->uuid);
    find(lib, NAMES("nvmlDeviceGetName"), &n->name);
    find(lib, NAMES("nvmlDeviceGetMemoryInfo_v2"), &n->memory_v2);
    find(lib, NAMES("nvmlDeviceGetMemoryInfo"), &n->memory);
    find(lib, NAMES("nvmlDeviceGetUtilizationRates"), &n->utilization);
    find(lib,
         NAMES("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2",
               "nvmlDeviceGetComputeRunningProcesses"),
         &n->compute);
    find(lib,
         NAMES("nvmlDeviceGetGraphicsRunningProcesses_v3",
               "nvmlDeviceGetGraphicsRunningProcesses_v2", "nvmlDeviceGetGraphicsRunningProcesses"),
         &n->graphics);
    find(lib, NAMES("nvmlDeviceGetProcessUtilization"), &n->samples);
}

static bool is_enough(const struct jbi_nvml *n)
{
    return n->init && n->shutdown && n->count && n->handle && (n->memory || n->memory_v2);
}

bool jbi_nvml_start(struct jbi_nvml *nvml, const char *library, char *why, size_t cap_bytes)
{
    int code;

    memset(nvml, 0, sizeof *nvml);
    nvml->library = jbi_os_library_open(library, why, cap_bytes);
    if (!nvml->library)
        return false;
    find_all(nvml);
    if (!is_enough(nvml)) {
        snprintf(why, cap_bytes, "%s lacks functions of a driver's library", library);
        jbi_nvml_stop(nvml);
        return false;
    }
    code = nvml->init();
    if (code != JBI_NVML_SUCCESS) {
        snprintf(why, cap_bytes, "the driver does not start: %s (%d)", jbi_nvml_text(nvml, code),
                 code);
        jbi_nvml_stop(nvml);
        return false;
    }
    nvml->is_started = true;
    return true;
}

int jbi_nvml_restart(struct jbi_nvml *nvml)
{
    int code = nvml->init();

    nvml->is_started = code == JBI_NVML_SUCCESS;
    return code;
}

void jbi_nvml_stop(struct jbi_nvml *nvml)
{
    if (nvml->is_started)
        (void)nvml->shutdown();
    jbi_os_library_close(nvml->library);
    memset(nvml, 0, sizeof *nvml);
}

const char *jbi_nvml_text(const struct jbi_nvml *nvml, int code)
{
    const char *text = nvml->error_string ? nvml->error_string(code) : NULL;

    return text && text[0] ? text : "no word of why";
}

bool jbi_nvml_is_lost(int code)
{
    return code == JBI_NVML_GPU_IS_LOST || code == JBI_NVML_RESET_REQUIRED ||
           code == JBI_NVML_INSUFFICIENT_POWER;
}

size_t jbi_nvml_process_bytes(const uint8_t *bytes, size_t len_bytes, uint32_t n)
{
    size_t touched = len_bytes;

    while (touched > 0 && bytes[touched - 1] == JBI_NVML_FILL)
        touched--;
    if (touched <= (size_t)n * 16)
        return 16;
    return touched <= (size_t)n * 24 ? 24 : JBI_NVML_PROCESS_BYTES_MAX;
}
