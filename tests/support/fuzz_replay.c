/*
 * Runs a fuzz target over files, without a fuzzer: every file as it is and cut short, and damaged
 * in ways that a fixed seed decides. `fuzz_replay FILE|FOLDER…`; with any compiler, under `meson
 * test`.
 *
 * Invariant: the same files give the same calls in every run; each input lies flush against a page
 * that may not be touched.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "draw.h"
#include "guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_DAMAGED = 64, N_CUT = 64, MAX_BYTES = 1 << 20 };

static uint64_t seed = 0x9e3779b97f4a7c15u;
static unsigned long n_files, n_inputs;

static void run(const uint8_t *bytes, size_t len_bytes)
{
    struct guard g = guard_copy(bytes, len_bytes);

    LLVMFuzzerTestOneInput(g.data, len_bytes);
    guard_free(&g);
    n_inputs++;
}

/* One to four changes: a byte set, a bit flipped, a stretch doubled. */
static void damage(uint8_t *bytes, size_t len_bytes)
{
    static const uint8_t odd[] = {0, 1, 0x22, 0x5c, 0x7b, 0x7f, 0x80, 0xff};

    for (uint64_t n = draw64(&seed) % 4 + 1; n > 0; n--) {
        size_t at = draw64(&seed) % len_bytes;
        size_t from = draw64(&seed) % len_bytes;
        size_t span = draw64(&seed) % (len_bytes - (at > from ? at : from)) + 1;

        switch (draw64(&seed) % 4) {
        case 0:
            bytes[at] = odd[draw64(&seed) % sizeof odd];
            break;
        case 1:
            bytes[at] ^= (uint8_t)(1u << draw64(&seed) % 8);
            break;
        case 2:
            bytes[at] = (uint8_t)draw64(&seed);
            break;
        default:
            memmove(bytes + at, bytes + from, span);
        }
    }
}

static void run_file(const char *path)
{
    static uint8_t bytes[MAX_BYTES], damaged[MAX_BYTES];
    FILE *file = fopen(path, "rb");
    size_t len, step;

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    n_files++;
    run(bytes, len);
    step = len / N_CUT + 1;
    for (size_t cut = 0; cut < len; cut += step)
        run(bytes, cut);
    for (int i = 0; i < N_DAMAGED && len != 0; i++) {
        memcpy(damaged, bytes, len);
        damage(damaged, len);
        run(damaged, len);
    }
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void run_path(const char *path)
{
    struct dirent **entries;
    struct stat st;
    char name[4096];
    int n;

    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
        run_file(path);
        return;
    }
    n = scandir(path, &entries, is_visible, alphasort);
    if (n < 0) {
        perror(path);
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        run_path(name);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_path(argv[i]);
    printf("%lu files, %lu inputs\n", n_files, n_inputs);
    return n_files == 0;
}
