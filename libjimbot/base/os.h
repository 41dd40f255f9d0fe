/*
 * os.h: everything the core asks of an operating system. One file per system implements it:
 * os_linux.c.
 *
 * Invariant: no other file of the core makes a system call. Calls return 0 or a positive errno,
 * never through errno itself, and retry interrupted calls unless they say otherwise.
 *
 * A port to Windows or macOS is one more os_<system>.c. What it must bring: byte-range locks that
 * the kernel drops when their holder dies, a file that appears under its name only when it is
 * complete, and a wait on a 32-bit word that works between processes.
 */
#ifndef JBI_BASE_OS_H
#define JBI_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t jbi_os_monotonic_ns(void);
uint64_t jbi_os_utc_ns(void);

/* Does the kernel keep time with the processor's own counter? */
bool jbi_os_clock_is_counter(void);

/* This process: its id, when it started (kernel ticks since boot, so that a reused id is told
 * apart), its short name. */
uint32_t jbi_os_pid(void);
uint64_t jbi_os_process_start(uint32_t pid); /* 0 when there is no such process */
void jbi_os_program_name(char *buf, size_t cap_bytes);
uint32_t jbi_os_uid(void);

/* Which boot of the machine this is; zeroes when the system does not say. */
void jbi_os_boot_id(uint64_t ret_id[2]);

/* A file without a name in the folder of `path`; it appears under the name with
 * jbi_os_file_publish(), whole or never. path NULL: a file that never gets a name. */
int jbi_os_file_create(const char *path, uint32_t mode, int *ret_fd);
int jbi_os_file_publish(int fd, const char *path); /* EEXIST when somebody was faster */
int jbi_os_file_open(const char *path, int *ret_fd);
int jbi_os_file_open_to_look(const char *path, int *ret_fd); /* read-only */
int jbi_os_file_allocate(int fd, uint64_t size_bytes); /* ENOSPC now rather than SIGBUS later */
int jbi_os_file_read(int fd, void *buf, size_t len_bytes, size_t *ret_len);
int jbi_os_file_read_at(int fd, uint64_t off, void *buf, size_t len_bytes, size_t *ret_len);
int jbi_os_file_unlink(const char *path);
void jbi_os_file_close(int fd);

struct jbi_os_file_id {
    uint64_t device;
    uint64_t inode;
    uint64_t size_bytes;
    bool is_regular;
    bool is_own;    /* this user's */
    bool has_holes; /* on tmpfs: blocks are missing, which touching them would have to find */
};
int jbi_os_file_identify(int fd, struct jbi_os_file_id *ret_id);
int jbi_os_path_identify(const char *path, struct jbi_os_file_id *ret_id);

/* Call fn for each name in a folder that begins with `prefix`, until it returns false. */
int jbi_os_folder_each(const char *folder, const char *prefix,
                       bool (*fn)(const char *name, void *userdata), void *userdata);

int jbi_os_map(int fd, uint64_t size_bytes, void **ret_addr);
int jbi_os_reserve(uint64_t size_bytes, void **ret_addr); /* zeroes, none in memory before use */
void jbi_os_unmap(void *addr, uint64_t size_bytes);

/* Locks of one byte far behind the file's end. The kernel holds them for the open file and drops
 * them with it: proof of life that no clock gives. try: EAGAIN when another holds it. is_held
 * speaks of *other* open files only. */
int jbi_os_lock_try(int fd, uint64_t byte);
void jbi_os_lock_release(int fd, uint64_t byte);
bool jbi_os_lock_is_held(int fd, uint64_t byte);
bool jbi_os_lock_is_any_held(int fd, uint64_t first_byte, uint64_t n_bytes);

/* Sleep while *word == expected, until woken or for timeout_ns; may return early. Wake everyone who
 * sleeps on it. */
void jbi_os_wait_on(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void jbi_os_wake_all(uint32_t *word);
void jbi_os_sleep_ns(uint64_t ns);

/* A shared library, found at run time as the dynamic linker finds it, its symbols for us alone.
 * NULL with a sentence in `why` when it cannot be had. */
void *jbi_os_library_open(const char *name, char *why, size_t cap_bytes);
void *jbi_os_library_find(void *library, const char *symbol); /* NULL: it has none of that name */
void jbi_os_library_close(void *library);

/* Are process ids here those of the whole machine, not of a container? True when the system does
 * not say. */
bool jbi_os_pids_are_machines(void);

/* Memory barriers paid for by the rare side: jbi_os_barrier_all() is as if every thread of every
 * process that joined had a full barrier in its code just now. join: once per process, then cheap;
 * may take milliseconds where threads run; false where the kernel cannot do it. */
bool jbi_os_barrier_join(void);
void jbi_os_barrier_all(void);

/* A descriptor that can be waited on with others: readable once raised, until cleared. Both never
 * block; raising twice is as once. Close it as a file. */
int jbi_os_event_create(int *ret_fd);
void jbi_os_event_raise(int fd);
void jbi_os_event_clear(int fd);

/* A thread that takes no signals, and that takes no core from a thread that runs when it is woken.
 */
struct jbi_os_thread {
    unsigned long id;
};
int jbi_os_thread_start(void *(*fn)(void *), void *userdata, const char *name,
                        struct jbi_os_thread *ret_thread);
void jbi_os_thread_join(const struct jbi_os_thread *thread);

/* Give the processor to whoever else wants it; and tell it that we only wait for memory to
 * change. */
void jbi_os_yield(void);

static inline void jbi_os_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* Ask for the cache line at that address, to be written soon. Not __builtin_prefetch(): for x86-64
 * gcc makes that a read, after which the write still waits for the line, or leaves it out where it
 * stands alone in a function. */
static inline void jbi_os_prefetch_write(const void *addr)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)addr));
#elif defined(__aarch64__)
    __asm__ volatile("prfm pstl1keep, %0" ::"Q"(*(const char *)addr));
#endif
}

/* Call fn in the child after every fork(). Once per process; 0 or an errno. */
int jbi_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
