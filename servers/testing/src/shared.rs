//! What several tests use at once, made by the first of them and ended by the last: unlike a static, it is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A place for something shared.
pub struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    pub const fn new() -> Shared<T> {
        Shared(Mutex::new(Weak::new()))
    }

    /// What is there, or what `make` makes.
    pub fn take(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        place.upgrade().unwrap_or_else(|| {
            let made = Arc::new(make());
            *place = Arc::downgrade(&made);
            made
        })
    }
}
