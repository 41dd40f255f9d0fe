//! The crate `governor` behind C functions, with a clock that is given, as ours has: each thread's own
//! number, so that neither pays for asking the time.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::cell::Cell;
use std::num::NonZeroU32;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

#[derive(Clone, Debug, Default)]
pub struct Given;

impl Clock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(NOW_NS.with(|now| now.get()))
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Given, NoOpMiddleware<Nanos>>;

/// A limiter of so many a second and so many at once, for good.
#[no_mangle]
pub extern "C" fn bench_governor_new(per_second: u32, burst: u32) -> *const Limiter {
    NOW_NS.with(|now| now.set(0));
    let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap())
        .allow_burst(NonZeroU32::new(burst).unwrap());
    Box::into_raw(Box::new(RateLimiter::direct_with_clock(quota, Given)))
}

/// Check n times, each step_ns after the one before; how many were allowed.
///
/// # Safety
/// `limiter` is from bench_governor_new().
#[no_mangle]
pub unsafe extern "C" fn bench_governor_check(
    limiter: *const Limiter,
    n: u64,
    from_ns: u64,
    step_ns: u64,
) -> u64 {
    let limiter = &*limiter;
    let mut allowed = 0;
    for i in 0..n {
        NOW_NS.with(|now| now.set(from_ns + (i + 1) * step_ns));
        allowed += u64::from(limiter.check().is_ok());
    }
    allowed
}
