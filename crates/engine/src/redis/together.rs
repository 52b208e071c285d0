//! Asking many servers at a time.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Handle;

/// How many at a time.
const AT_A_TIME: usize = 8;

/// What `act` makes of each item, in their order. Some of it happens on threads of its own, which may wait on the
/// runtime as the caller may.
pub(super) fn together<T: Sync, R: Send>(items: &[T], act: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, act(item)));
        }
    };
    let runtime = Handle::try_current().ok();
    let mut all = thread::scope(|scope| {
        let helpers: Vec<_> = (1..items.len().min(AT_A_TIME))
            .filter_map(|_| {
                let work = || {
                    let _entered = runtime.as_ref().map(Handle::enter);
                    work()
                };
                // Without a thread the others have more to do.
                thread::Builder::new().name("redis-look".to_owned()).spawn_scoped(scope, work).ok()
            })
            .collect();
        let mut all = work();
        for helper in helpers {
            all.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(together(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(together(&[0u8; 0], |_| ()), []);
    }
}
