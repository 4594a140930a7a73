//! The budget of the memory that all receive buffers of a process share, beyond the first 16 KiB of each.
//!
//! A buffer takes from the budget only when it grows beyond that size, and returns it when it shrinks or is dropped: a
//! request that fits a new buffer never touches the counter.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A limit on the bytes that several receive buffers hold together, beyond the first 16 KiB of each. Clones share one
/// counter. A request for which the budget has no room left is rejected with 503
/// ([`Rejection::Overloaded`](crate::Rejection::Overloaded)).
///
/// ```
/// use http_core::{BufferPool, MemoryBudget};
///
/// let budget = MemoryBudget::new(64 * 1024 * 1024);
/// let mut pool = BufferPool::new(8).with_budget(budget.clone());
/// let buffers = pool.take();
/// assert_eq!(budget.used(), 0);
/// # drop(buffers);
/// ```
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    /// The number of bytes taken, by all clones together.
    used: Arc<AtomicUsize>,
    limit: usize,
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes, of which none are used.
    pub fn new(limit: usize) -> MemoryBudget {
        MemoryBudget { used: Arc::default(), limit }
    }

    /// Returns how many bytes the buffers hold now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `count` bytes. Returns whether that many were left; otherwise it takes none.
    fn take(&self, count: usize) -> bool {
        let more = |used: usize| used.checked_add(count).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// The bytes that one buffer has taken from a budget. Dropping it returns them.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// `None` if the memory of the buffer is not limited.
    budget: Option<MemoryBudget>,
    taken: usize,
}

impl Share {
    /// Takes bytes from `budget` from now on. The share must be empty.
    pub(super) fn set_budget(&mut self, budget: MemoryBudget) {
        debug_assert_eq!(self.taken, 0, "bytes of another budget");
        self.budget = Some(budget);
    }

    /// Changes the number of taken bytes to `wanted`. Returns false, and changes nothing, if the budget has too few
    /// bytes left for that. Less than before is always granted.
    pub(super) fn resize(&mut self, wanted: usize) -> bool {
        let Some(budget) = &self.budget else { return true };
        match wanted.checked_sub(self.taken) {
            Some(more) => {
                if !budget.take(more) {
                    return false;
                }
            }
            None => {
                budget.used.fetch_sub(self.taken - wanted, Ordering::Relaxed);
            }
        }
        self.taken = wanted;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_no_more_than_the_limit_and_return_what_they_took() {
        let budget = MemoryBudget::new(100);
        let mut shares = [Share::default(), Share::default()];
        shares.iter_mut().for_each(|share| share.set_budget(budget.clone()));
        let mut check = |index: usize, wanted, granted, used| {
            assert_eq!((shares[index].resize(wanted), budget.used()), (granted, used), "{index} {wanted}");
        };
        check(0, 60, true, 60);
        check(1, 41, false, 60);
        check(1, 40, true, 100);
        check(1, 41, false, 100);
        check(1, usize::MAX, false, 100);
        check(0, 10, true, 50);
        check(1, 90, true, 100);
        check(1, 0, true, 10);
        drop(shares);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_share_without_a_budget_is_not_limited() {
        assert!(Share::default().resize(usize::MAX));
    }
}
