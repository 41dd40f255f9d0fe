/*
 * tsan.h: is this a build for the race detector?
 *
 * Invariant: only the few reads that race on purpose, and check afterwards, ask.
 */
#ifndef JBI_BASE_TSAN_H
#define JBI_BASE_TSAN_H

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define JBI_IS_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define JBI_IS_TSAN 1
#endif

#endif
