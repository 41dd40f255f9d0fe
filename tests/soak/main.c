/*
 * main.c: many processes on one bus, killed and stopped at random, until the time is up; then the
 * books must balance. docs/design/ring.md says what that means.
 *
 * The time is divided into rounds, each with a bus of its own and another size of ring, so that
 * making a bus and being the last to leave it happen under fire as well.
 */
#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct soak soak;

static void usage(FILE *to)
{
    fprintf(to,
            "usage: soak [option]...\n"
            "  --seconds N   how long (default 60)\n"
            "  --round N     seconds on one bus (default a third of it all, at most 60)\n"
            "  --seed N      of everything random (default: the clock)\n"
            "  --capacity N  bytes of the ring (default: 64 KiB to 1 MiB, by turns)\n"
            "  --slow N      wait N times longer before calling something a hang (default 1)\n");
}

static bool option_take(const char *name, const char *text)
{
    char *end;
    unsigned long long value;

    errno = 0;
    value = strtoull(text, &end, 0);
    if (errno || *end || end == text)
        return false;
    if (strcmp(name, "--seconds") == 0 && value >= 1 && value <= 10000000)
        soak.options.seconds = value;
    else if (strcmp(name, "--round") == 0 && value >= 1 && value <= 600)
        soak.options.round_seconds = value;
    else if (strcmp(name, "--seed") == 0)
        soak.options.seed = value;
    else if (strcmp(name, "--capacity") == 0)
        soak.options.capacity_bytes = value;
    else if (strcmp(name, "--slow") == 0 && value >= 1 && value <= 100)
        soak.options.slow = (uint32_t)value;
    else
        return false;
    return true;
}

static int options_take(int argc, char **argv)
{
    soak.options = (struct soak_options){.seed = jb_clock_utc_ns(), .seconds = 60, .slow = 1};
    for (int i = 1; i < argc; i += 2) {
        if (strcmp(argv[i], "--help") == 0) {
            usage(stdout);
            return 1;
        }
        if (i + 1 == argc || !option_take(argv[i], argv[i + 1])) {
            fprintf(stderr, "soak: %s %s?\n", argv[i], i + 1 < argc ? argv[i + 1] : "");
            usage(stderr);
            return 2;
        }
    }
    if (!soak.options.round_seconds) {
        uint64_t third = (soak.options.seconds + 2) / 3;

        soak.options.round_seconds = third < 60 ? third : 60;
    }
    return 0;
}

/* A folder of our own, so that whatever is left behind is seen. */
static bool folder_make(void)
{
    const char *base = getenv("JIMBOT_SHM_DIR");

    snprintf(soak.folder, sizeof soak.folder, "%s/jimbot-soak-XXXXXX",
             base && base[0] ? base : "/dev/shm");
    if (!mkdtemp(soak.folder)) {
        fprintf(stderr, "soak: %s: %s\n", soak.folder, strerror(errno));
        return false;
    }
    return setenv("JIMBOT_SHM_DIR", soak.folder, 1) == 0;
}

static int rounds_run(void)
{
    static const uint64_t capacities[] = {64 << 10, 1 << 20, 256 << 10, 128 << 10, 512 << 10};
    uint64_t end_ns = soak.deeds.begin_ns + soak.options.seconds * 1000000000;
    int rc = 0;

    while (rc == 0 && jb_clock_now_ns() < end_ns) {
        uint64_t left = (end_ns - jb_clock_now_ns() + 999999999) / 1000000000;
        uint64_t capacity = soak.options.capacity_bytes
                                ? soak.options.capacity_bytes
                                : capacities[soak.round % (sizeof capacities / sizeof *capacities)];

        soak.round++;
        rc = director_round(
            &soak, left < soak.options.round_seconds ? left : soak.options.round_seconds, capacity);
    }
    return rc;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = director_interrupt};
    int rc = options_take(argc, argv);

    if (rc)
        return rc == 1 ? 0 : rc;
    if (!folder_make() || !books_init(&soak.books))
        return 1;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* It takes all there is, and others are to get on with their work. */
    (void)setpriority(PRIO_PROCESS, 0, 10);
    soak.deeds.begin_ns = jb_clock_now_ns();
    printf("soak: %lu s, seed %lu\n", (unsigned long)soak.options.seconds,
           (unsigned long)soak.options.seed);
    fflush(stdout);
    rc = rounds_run();
    if (rc == 0 && rmdir(soak.folder) != 0) {
        printf("soak: VIOLATION: something is left in %s\n", soak.folder);
        rc = 1;
    }
    if (rc == 0)
        report_totals(&soak);
    books_fini(&soak.books);
    return rc;
}
