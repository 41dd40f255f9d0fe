/*
 * os_linux.c: os.h on Linux.
 *
 * Invariant: the file locks are open-file-description locks (F_OFD_*), so that two handles in one
 * process exclude each other too and closing an unrelated descriptor drops nothing.
 */
#include "base/os.h"

#include "jimbot/base.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t jbi_os_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t jbi_os_utc_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

bool jbi_os_clock_is_counter(void)
{
    char name[8] = "";
    int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource",
                  O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (read(fd, name, sizeof name - 1) < 0)
            name[0] = '\0';
        close(fd);
    }
    return strcmp(name, "tsc\n") == 0;
}

uint64_t jb_clock_now_ns(void)
{
    return jbi_os_monotonic_ns();
}

uint64_t jb_clock_utc_ns(void)
{
    return jbi_os_utc_ns();
}

uint32_t jbi_os_pid(void)
{
    return (uint32_t)getpid();
}

uint32_t jbi_os_uid(void)
{
    return (uint32_t)getuid();
}

/* Field 22 of /proc/<pid>/stat. Fields are counted from behind the last ')', because the command
 * name before it may hold anything. */
uint64_t jbi_os_process_start(uint32_t pid)
{
    char path[32];
    char text[1024];
    const char *at;
    size_t len = 0;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (jbi_os_file_read(fd, text, sizeof text - 1, &len))
        len = 0;
    close(fd);
    text[len] = '\0';
    at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void jbi_os_boot_id(uint64_t ret_id[2])
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    char text[40];
    size_t len = 0;
    int n_digits = 0;

    ret_id[0] = ret_id[1] = 0;
    if (fd < 0)
        return;
    if (jbi_os_file_read(fd, text, sizeof text, &len))
        len = 0;
    close(fd);
    for (size_t i = 0; i < len && n_digits < 32; i++) {
        int digit = hex_digit(text[i]);

        if (digit >= 0) {
            ret_id[n_digits / 16] = ret_id[n_digits / 16] << 4 | (uint64_t)digit;
            n_digits++;
        }
    }
}

void jbi_os_program_name(char *buf, size_t cap_bytes)
{
    snprintf(buf, cap_bytes, "%s", program_invocation_short_name);
}

int jbi_os_file_create(const char *path, uint32_t mode, int *ret_fd)
{
    char dir[PATH_MAX];
    const char *slash;
    int fd;

    if (!path) {
        fd = memfd_create("jimbot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    } else {
        slash = strrchr(path, '/');
        if (!slash || (size_t)(slash - path) >= sizeof dir)
            return EINVAL;
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
        fd = open(dir[0] ? dir : "/", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    }
    if (fd < 0)
        return errno;
    /* The creator says who may open it; the umask has no say, or a group bus could not be made. */
    if (fchmod(fd, (mode_t)mode)) {
        int rc = errno;

        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int jbi_os_file_publish(int fd, const char *path)
{
    char self[40];

    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? errno : 0;
}

int jbi_os_file_open(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return errno;
    *ret_fd = fd;
    return 0;
}

int jbi_os_file_open_to_look(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return errno;
    *ret_fd = fd;
    return 0;
}

int jbi_os_file_allocate(int fd, uint64_t size_bytes)
{
    struct rlimit most;
    int rc;

    /* Past that limit the kernel sends SIGXFSZ, which ends a process that does not expect it. */
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        size_bytes > most.rlim_cur)
        return EFBIG;
    do {
        rc = posix_fallocate(fd, 0, (off_t)size_bytes);
    } while (rc == EINTR);
    /* A file that never gets a name can be made one that nobody can cut under us; for others the
     * kernel has no such thing. */
    if (!rc)
        (void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    return rc;
}

int jbi_os_file_read(int fd, void *buf, size_t len_bytes, size_t *ret_len)
{
    return jbi_os_file_read_at(fd, 0, buf, len_bytes, ret_len);
}

int jbi_os_file_read_at(int fd, uint64_t off, void *buf, size_t len_bytes, size_t *ret_len)
{
    size_t done = 0;

    while (done < len_bytes) {
        ssize_t n = pread(fd, (char *)buf + done, len_bytes - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_len = done;
    return 0;
}

int jbi_os_file_unlink(const char *path)
{
    return unlink(path) ? errno : 0;
}

void jbi_os_file_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int identify(int rc, const struct stat *st, struct jbi_os_file_id *ret_id)
{
    if (rc)
        return errno;
    ret_id->device = (uint64_t)st->st_dev;
    ret_id->inode = (uint64_t)st->st_ino;
    ret_id->size_bytes = (uint64_t)st->st_size;
    ret_id->is_regular = S_ISREG(st->st_mode);
    ret_id->is_own = st->st_uid == getuid() || st->st_uid == geteuid();
    ret_id->has_holes = false;
    return 0;
}

int jbi_os_file_identify(int fd, struct jbi_os_file_id *ret_id)
{
    struct stat st;
    struct statfs fs;
    int rc = identify(fstat(fd, &st), &st, ret_id);

    /* Other file systems may store fewer blocks than were allocated. */
    if (!rc && ret_id->is_regular && fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
        ret_id->has_holes = (uint64_t)st.st_blocks * 512 < ret_id->size_bytes;
    return rc;
}

int jbi_os_path_identify(const char *path, struct jbi_os_file_id *ret_id)
{
    struct stat st;
    int rc = lstat(path, &st);

    return identify(rc, &st, ret_id);
}

int jbi_os_folder_each(const char *folder, const char *prefix,
                       bool (*fn)(const char *name, void *userdata), void *userdata)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    bool is_wanted = true;

    if (!dir)
        return errno;
    /* The folder is open here alone. */
    /* cppcheck-suppress readdirCalled */
    while (is_wanted && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            is_wanted = fn(entry->d_name, userdata);
    }
    closedir(dir);
    return 0;
}

int jbi_os_map(int fd, uint64_t size_bytes, void **ret_addr)
{
    void *addr = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

    if (addr == MAP_FAILED)
        return errno;
    *ret_addr = addr;
    return 0;
}

int jbi_os_reserve(uint64_t size_bytes, void **ret_addr)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    /* cppcheck-suppress invalidFunctionArg */
    void *addr = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

    if (addr == MAP_FAILED)
        return errno;
    *ret_addr = addr;
    return 0;
}

void jbi_os_unmap(void *addr, uint64_t size_bytes)
{
    if (addr)
        munmap(addr, size_bytes);
}

static int lock_call(int fd, int command, short type, uint64_t byte, uint64_t n_bytes,
                     struct flock *ret_lock)
{
    struct flock lock = {0};
    int rc;

    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)byte;
    lock.l_len = (off_t)n_bytes;
    do {
        rc = fcntl(fd, command, &lock);
    } while (rc < 0 && errno == EINTR);
    if (ret_lock)
        *ret_lock = lock;
    return rc < 0 ? errno : 0;
}

int jbi_os_lock_try(int fd, uint64_t byte)
{
    int rc = lock_call(fd, F_OFD_SETLK, F_WRLCK, byte, 1, NULL);

    return rc == EACCES ? EAGAIN : rc;
}

void jbi_os_lock_release(int fd, uint64_t byte)
{
    (void)lock_call(fd, F_OFD_SETLK, F_UNLCK, byte, 1, NULL);
}

bool jbi_os_lock_is_held(int fd, uint64_t byte)
{
    return jbi_os_lock_is_any_held(fd, byte, 1);
}

bool jbi_os_lock_is_any_held(int fd, uint64_t first_byte, uint64_t n_bytes)
{
    struct flock lock;

    /* When the kernel cannot tell, assume life: robbing the living is worse than waiting for the
     * dead. */
    if (lock_call(fd, F_OFD_GETLK, F_WRLCK, first_byte, n_bytes, &lock))
        return true;
    return lock.l_type != F_UNLCK;
}

void jbi_os_wait_on(uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec ts;
    struct timespec *limit = NULL;

    if (timeout_ns != UINT64_MAX) {
        ts.tv_sec = (time_t)(timeout_ns / 1000000000u);
        ts.tv_nsec = (long)(timeout_ns % 1000000000u);
        limit = &ts;
    }
    (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, limit, NULL, 0);
}

void jbi_os_wake_all(uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void *jbi_os_library_open(const char *name, char *why, size_t cap_bytes)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

    if (!library) {
        const char *text = dlerror();

        snprintf(why, cap_bytes, "%s", text ? text : name);
    }
    return library;
}

void *jbi_os_library_find(void *library, const char *symbol)
{
    return dlsym(library, symbol);
}

void jbi_os_library_close(void *library)
{
    if (library)
        dlclose(library);
}

bool jbi_os_pids_are_machines(void)
{
    /* The first namespace has the same number in every kernel. */
    static const char first[] = "pid:[4026531836]";
    char name[64];
    ssize_t len = readlink("/proc/self/ns/pid", name, sizeof name);

    return len < 0 || ((size_t)len == sizeof first - 1 && memcmp(name, first, (size_t)len) == 0);
}

bool jbi_os_barrier_join(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

void jbi_os_barrier_all(void)
{
    (void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

int jbi_os_event_create(int *ret_fd)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (fd < 0)
        return errno;
    *ret_fd = fd;
    return 0;
}

void jbi_os_event_raise(int fd)
{
    (void)eventfd_write(fd, 1);
}

void jbi_os_event_clear(int fd)
{
    eventfd_t value;

    (void)eventfd_read(fd, &value);
}

_Static_assert(sizeof(pthread_t) == sizeof(unsigned long), "jbi_os_thread holds one");

int jbi_os_thread_start(void *(*fn)(void *), void *userdata, const char *name,
                        struct jbi_os_thread *ret_thread)
{
    sigset_t all, before;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, NULL, fn, userdata);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc)
        return rc;
    (void)pthread_setname_np(thread, name);
    /* Where it shares a core with a publisher, each event would cost two switches of threads: the
     * one that is woken takes the core at once. So it waits until the core is free or its turn. */
    (void)pthread_setschedparam(thread, SCHED_BATCH, &(struct sched_param){.sched_priority = 0});
    ret_thread->id = thread;
    return 0;
}

void jbi_os_thread_join(const struct jbi_os_thread *thread)
{
    (void)pthread_join(thread->id, NULL);
}

void jbi_os_yield(void)
{
    sched_yield();
}

void jbi_os_sleep_ns(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

int jbi_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return pthread_atfork(prepare, parent, child);
}
