/*
 * step.h: makes every atomic operation of the core a step that a test can stop at.
 *
 * The build compiles the core's own sources a second time, for tests only, with this file put in
 * before each of them (`jimbot_stepped`). So what is tested is the code that ships, and it carries
 * no mark of it.
 *
 * Invariant: an operation does what <stdatomic.h> says; a hook runs before it and is told its
 * address, another runs after it and is told the value it saw. A memcpy() is two steps, a half
 * each.
 */
#ifndef TEST_STEP_H
#define TEST_STEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef void (*jbt_before_fn)(const volatile void *address);
typedef void (*jbt_after_fn)(uint64_t value);

extern jbt_before_fn jbt_before; /* NULL: the library runs as if it were not stepped */
extern jbt_after_fn jbt_after;

extern void (*jbt_at_fence)(void);

void *jbt_memcpy(void *to, const void *from, size_t len_bytes);

static inline void jbt_step(const volatile void *address)
{
    if (jbt_before)
        jbt_before(address);
}

static inline void jbt_fence(void)
{
    if (jbt_at_fence)
        jbt_at_fence();
}

static inline void jbt_saw(uint64_t value)
{
    if (jbt_after)
        jbt_after(value);
}

/* Two compilers, two families of builtins: gcc's take an _Atomic pointer as any other, clang's
 * __atomic ones refuse it. */
#ifdef __clang__
#define JBT_LOAD(p, mo)         __c11_atomic_load(p, mo)
#define JBT_STORE(p, v, mo)     __c11_atomic_store(p, v, mo)
#define JBT_EXCHANGE(p, v, mo)  __c11_atomic_exchange(p, v, mo)
#define JBT_FETCH(op, p, v, mo) __c11_atomic_fetch_##op(p, v, mo)
#define JBT_CAS(p, e, v, s, f)  __c11_atomic_compare_exchange_strong(p, e, v, s, f)
#else
#define JBT_LOAD(p, mo)         __atomic_load_n(p, mo)
#define JBT_STORE(p, v, mo)     __atomic_store_n(p, v, mo)
#define JBT_EXCHANGE(p, v, mo)  __atomic_exchange_n(p, v, mo)
#define JBT_FETCH(op, p, v, mo) __atomic_fetch_##op(p, v, mo)
#define JBT_CAS(p, e, v, s, f)  __atomic_compare_exchange_n(p, e, v, false, s, f)
#endif

#define JBT_VALUE(p, operation)                                                                    \
    __extension__({                                                                                \
        jbt_step(p);                                                                               \
        __auto_type jbt_value_ = (operation);                                                      \
        jbt_saw((uint64_t)jbt_value_);                                                             \
        jbt_value_;                                                                                \
    })

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_fetch_xor_explicit
#undef atomic_signal_fence
#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_fetch_or
#undef atomic_fetch_and

#define atomic_load_explicit(p, mo)         JBT_VALUE(p, JBT_LOAD(p, mo))
#define atomic_store_explicit(p, v, mo)     (jbt_step(p), JBT_STORE(p, v, mo))
#define atomic_exchange_explicit(p, v, mo)  JBT_VALUE(p, JBT_EXCHANGE(p, v, mo))
#define atomic_fetch_add_explicit(p, v, mo) JBT_VALUE(p, JBT_FETCH(add, p, v, mo))
#define atomic_fetch_sub_explicit(p, v, mo) JBT_VALUE(p, JBT_FETCH(sub, p, v, mo))
#define atomic_fetch_or_explicit(p, v, mo)  JBT_VALUE(p, JBT_FETCH(or, p, v, mo))
#define atomic_fetch_and_explicit(p, v, mo) JBT_VALUE(p, JBT_FETCH(and, p, v, mo))
#define atomic_fetch_xor_explicit(p, v, mo) JBT_VALUE(p, JBT_FETCH(xor, p, v, mo))

/* What it saw is in *expected: the old value when it failed, that same value when it did not. A
 * weak one that fails for no reason would be no new interleaving. */
#define atomic_compare_exchange_strong_explicit(p, e, v, s, f)                                     \
    __extension__({                                                                                \
        __auto_type jbt_expected_ = (e);                                                           \
        jbt_step(p);                                                                               \
        bool jbt_won_ = JBT_CAS(p, jbt_expected_, v, s, f);                                        \
        jbt_saw((uint64_t)*jbt_expected_ * 2 + jbt_won_);                                          \
        jbt_won_;                                                                                  \
    })
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit

/* What it keeps apart are two plain stores: a step for those who ask for it. */
#define atomic_signal_fence(mo) (jbt_fence(), __atomic_signal_fence(mo))

#define atomic_load(p)        atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store(p, v)    atomic_store_explicit(p, v, memory_order_seq_cst)
#define atomic_exchange(p, v) atomic_exchange_explicit(p, v, memory_order_seq_cst)
#define atomic_compare_exchange_strong(p, e, v)                                                    \
    atomic_compare_exchange_strong_explicit(p, e, v, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_compare_exchange_weak atomic_compare_exchange_strong
#define atomic_fetch_add(p, v)       atomic_fetch_add_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_sub(p, v)       atomic_fetch_sub_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_or(p, v)        atomic_fetch_or_explicit(p, v, memory_order_seq_cst)
#define atomic_fetch_and(p, v)       atomic_fetch_and_explicit(p, v, memory_order_seq_cst)

#undef memcpy
#define memcpy(to, from, n) jbt_memcpy(to, from, n)

#endif
