/*
 * fake_nvml.c: a driver's management library that says what the environment variable FAKE_NVML
 * tells it to, read anew at each call: words "key=value", separated by blanks.
 *
 *   init count handle memory memory2 utilization compute graphics samples   the code a call answers
 *   n=2                GPUs                  handle.1=15    the code for one GPU only
 *   total= free= used= reserved=             bytes          busy=  percent
 *   c=10:500,11:~      processes that compute, pid:bytes, ~ for what is not known;   g= that draw
 *   s=10:77:40         samples pid:time:percent       stride=16|24|32   bytes for each process
 *   need=2000          how many it says there are           mute=1   no sentences for codes
 *   hang=memory2       this call does not come back
 *
 * FAKE_LEVEL is how new the driver is: 3 has every name, 2 no name of version 3, 1 none with a
 * version, 0 is no driver's library at all.
 *
 * Invariant: no more is written than the caller has room for, and handles of before a shutdown are
 * refused, as by the real one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

int fake_nvml_inits(void);

static int n_inits;

EXPORT int fake_nvml_inits(void)
{
    return n_inits;
}

#if FAKE_LEVEL > 0
enum { UNINITIALIZED = 1, INVALID = 2, SMALL = 7, DEVICES = 16, GENERATIONS = 64 };

static uint32_t generation;
static char devices[GENERATIONS][DEVICES];

static const char *value_of(const char *key)
{
    const char *at = getenv("FAKE_NVML");
    size_t len = strlen(key);

    while (at && *at) {
        at += strspn(at, " ");
        if (strncmp(at, key, len) == 0 && at[len] == '=')
            return at + len + 1;
        at += strcspn(at, " ");
    }
    return NULL;
}

static uint64_t number(const char *text, uint64_t otherwise)
{
    if (!text)
        return otherwise;
    return *text == '~' ? UINT64_MAX : strtoull(text, NULL, 0);
}

static uint64_t number_of(const char *key, uint64_t otherwise)
{
    return number(value_of(key), otherwise);
}

static void hang_in(const char *call)
{
    const char *at = value_of("hang");
    size_t len = strlen(call);

    while (at && strncmp(at, call, len) == 0 && (at[len] == ' ' || !at[len]))
        pause();
}

/* What a call answers; `device` NULL for calls that are not about one. */
static int code_of(const char *call, const void *device)
{
    char key[64];
    long idx = device ? (const char *)device - devices[generation % GENERATIONS] : 0;

    hang_in(call);
    if (n_inits == 0)
        return UNINITIALIZED;
    if (device && (idx < 0 || idx >= DEVICES))
        return INVALID;
    snprintf(key, sizeof key, "%s.%ld", call, idx);
    return (int)number_of(key, number_of(call, 0));
}

#if FAKE_LEVEL > 1
#define V2(name) name##_v2
#else
#define V2(name) name
#endif
#if FAKE_LEVEL > 2
#define V3(name) name##_v3
#else
#define V3(name) V2(name)
#endif

int V2(nvmlInit)(void);
int nvmlShutdown(void);
const char *nvmlErrorString(int code);
int V2(nvmlDeviceGetCount)(uint32_t *count);
int V2(nvmlDeviceGetHandleByIndex)(uint32_t idx, void **device);
int nvmlDeviceGetUUID(void *device, char *text, uint32_t cap);
int nvmlDeviceGetName(void *device, char *text, uint32_t cap);
int nvmlDeviceGetMemoryInfo(void *device, uint64_t info[3]);
int nvmlDeviceGetMemoryInfo_v2(void *device, uint64_t info[5]);
int nvmlDeviceGetUtilizationRates(void *device, uint32_t rates[2]);
int V3(nvmlDeviceGetComputeRunningProcesses)(void *device, uint32_t *count, uint8_t *infos);
int V3(nvmlDeviceGetGraphicsRunningProcesses)(void *device, uint32_t *count, uint8_t *infos);
int nvmlDeviceGetProcessUtilization(void *device, uint8_t *samples, uint32_t *count,
                                    uint64_t since);

EXPORT int V2(nvmlInit)(void)
{
    int code = (int)number_of("init", 0);

    hang_in("init");
    n_inits += code == 0;
    return code;
}

EXPORT int nvmlShutdown(void)
{
    if (n_inits == 0)
        return UNINITIALIZED;
    if (--n_inits == 0)
        generation++;
    return 0;
}

EXPORT const char *nvmlErrorString(int code)
{
    static char text[32];

    if (value_of("mute"))
        return NULL;
    snprintf(text, sizeof text, "scripted %d", code);
    return text;
}

EXPORT int V2(nvmlDeviceGetCount)(uint32_t *count)
{
    *count = (uint32_t)number_of("n", 1);
    return code_of("count", NULL);
}

EXPORT int V2(nvmlDeviceGetHandleByIndex)(uint32_t idx, void **device)
{
    void *found = &devices[generation % GENERATIONS][idx % DEVICES];
    int code = code_of("handle", found);

    if (code == 0)
        *device = found;
    return code;
}

EXPORT int nvmlDeviceGetUUID(void *device, char *text, uint32_t cap)
{
    if (value_of("endless")) {
        memset(text, 'x', cap);
        return 0;
    }
    snprintf(text, cap, "GPU-fake-%ld", (long)((char *)device - devices[generation % GENERATIONS]));
    return code_of("uuid", device);
}

EXPORT int nvmlDeviceGetName(void *device, char *text, uint32_t cap)
{
    snprintf(text, cap, "Scripted GPU");
    return code_of("name", device);
}

EXPORT int nvmlDeviceGetMemoryInfo(void *device, uint64_t info[3])
{
    int code = code_of("memory", device);

    if (code == 0) {
        info[0] = number_of("total", 1000);
        info[2] = number_of("used", 0);
        info[1] = number_of("free", info[0] - info[2]);
    }
    return code;
}

#if FAKE_LEVEL > 2
EXPORT int nvmlDeviceGetMemoryInfo_v2(void *device, uint64_t info[5])
{
    int code = code_of("memory2", device);

    if ((uint32_t)info[0] != (40 | 2u << 24))
        return 25; /* of another version */
    if (code == 0) {
        info[1] = number_of("total", 1000);
        info[2] = number_of("reserved", 0);
        info[4] = number_of("used", 0);
        info[3] = number_of("free", info[1] - info[2] - info[4]);
    }
    return code;
}
#endif

EXPORT int nvmlDeviceGetUtilizationRates(void *device, uint32_t rates[2])
{
    rates[0] = (uint32_t)number_of("busy", 0);
    rates[1] = 0;
    return code_of("utilization", device);
}

static int list(const char *call, const char *key, void *device, uint32_t *count, uint8_t *infos)
{
    size_t stride = number_of("stride", FAKE_LEVEL > 1 ? 24 : 16);
    const char *at = value_of(key);
    uint32_t n = 0, cap = *count;
    int code = code_of(call, device);

    if (code != 0) {
        *count = (uint32_t)number_of("need", 0);
        return code;
    }
    while (at && *at && *at != ' ') {
        uint8_t bytes[32] = {0};
        char *end;
        uint32_t pid = (uint32_t)strtoul(at, &end, 0);
        uint64_t used = number(end + 1, 0);

        if (n == cap)
            return SMALL;
        memcpy(bytes, &pid, sizeof pid);
        memcpy(bytes + 8, &used, sizeof used);
        memset(bytes + 16, 0xff, 8);
        memcpy(infos + n++ * stride, bytes, stride);
        at = end + 1 + strcspn(end + 1, ", ");
        at += *at == ',';
    }
    *count = (uint32_t)number_of("claim", n);
    return 0;
}

EXPORT int V3(nvmlDeviceGetComputeRunningProcesses)(void *device, uint32_t *count, uint8_t *infos)
{
    return list("compute", "c", device, count, infos);
}

EXPORT int V3(nvmlDeviceGetGraphicsRunningProcesses)(void *device, uint32_t *count, uint8_t *infos)
{
    return list("graphics", "g", device, count, infos);
}

EXPORT int nvmlDeviceGetProcessUtilization(void *device, uint8_t *samples, uint32_t *count,
                                           uint64_t since)
{
    const char *at = value_of("s");
    uint32_t n = 0, cap = *count;
    int code = code_of("samples", device);

    for (; code == 0 && at && *at && *at != ' ' && n < cap; at += *at == ',') {
        char *end;
        uint32_t pid = (uint32_t)strtoul(at, &end, 0);
        uint64_t time = number(end + 1, 0);
        const char *percent = strchr(end + 1, ':');
        uint32_t sm = (uint32_t)number(percent + 1, 0);

        at = percent + 1 + strcspn(percent + 1, ", ");
        if (time <= since)
            continue;
        memcpy(samples + n * 32, &pid, sizeof pid);
        memcpy(samples + n * 32 + 8, &time, sizeof time);
        memcpy(samples + n * 32 + 16, &sm, sizeof sm);
        n++;
    }
    *count = n;
    return code == 0 && n == 0 ? 6 : code;
}
#endif
