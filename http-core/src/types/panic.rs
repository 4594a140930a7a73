//! Keeps panics of application code inside the call or the drop that panics.
//!
//! Every call of application code, and every drop of an application's value, goes through this module. One panic then
//! costs one connection, and never a thread. It logs nothing: Rust's panic hook has reported the panic.
//!
//! Rust aborts the process if a destructor panics while another panic unwinds. No code can prevent that.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The error of [`catch_panic`]: the application's code has panicked.
///
/// ```
/// use http_core::{Panicked, Rejection, catch_panic};
///
/// assert_eq!(catch_panic(|| "no panic"), Ok("no panic"));
/// assert_eq!(catch_panic(|| panic!("on purpose")), Err::<(), _>(Panicked));
/// assert_eq!(Rejection::from(Panicked), Rejection::HandlerPanicked);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the application's code panicked")
    }
}

impl std::error::Error for Panicked {}

/// Calls `run`, which is application code, and catches its panic.
///
/// # Errors
///
/// [`Panicked`] if `run` panics.
#[inline]
pub fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Ok(value),
        Err(payload) => {
            discard(payload);
            Err(Panicked)
        }
    }
}

/// Drops the payload of a panic, which is an application's value too.
#[cold]
fn discard<T>(payload: T) {
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // The payload's destructor has panicked. The destructor of the next payload could do the same: leak it.
        std::mem::forget(next);
    }
}

/// Drops an application's value, and catches a panic of its destructor.
#[inline]
pub fn drop_caught<T>(value: T) {
    if std::mem::needs_drop::<T>() {
        let _ = catch_panic(|| drop(value));
    }
}

/// Holds an application's value. When it is dropped, it drops the value, and catches a panic of the value's destructor.
///
/// ```
/// use http_core::CatchDrop;
///
/// struct Bomb;
///
/// impl Drop for Bomb {
///     fn drop(&mut self) {
///         panic!("on purpose");
///     }
/// }
///
/// drop(CatchDrop::new(Bomb));
/// ```
#[derive(Debug)]
pub struct CatchDrop<T> {
    /// `None` only during `drop`, and after [`into_inner`](CatchDrop::into_inner).
    value: Option<T>,
}

impl<T> CatchDrop<T> {
    /// Takes over `value`.
    pub fn new(value: T) -> CatchDrop<T> {
        CatchDrop { value: Some(value) }
    }

    /// Returns the value. The result is never `None`: the `Option` only avoids an `unwrap`.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut()
    }

    /// Returns the value, and no longer catches panics of its destructor. Never `None`, as for
    /// [`get_mut`](CatchDrop::get_mut).
    pub fn into_inner(mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Drop for CatchDrop<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop_caught(value);
        }
    }
}

/// A value for tests that panics when it is dropped, unless the number is 0. The payload of the panic is such a value
/// with the next lower number.
#[cfg(test)]
pub(crate) struct PanicOnDrop(pub(crate) u8);

#[cfg(test)]
impl Drop for PanicOnDrop {
    fn drop(&mut self) {
        if let Some(lower) = self.0.checked_sub(1) {
            std::panic::resume_unwind(Box::new(PanicOnDrop(lower)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::resume_unwind;

    #[test]
    fn catches_panics_of_code_payloads_and_destructors() {
        assert_eq!(catch_panic(|| 7), Ok(7));
        assert_eq!(catch_panic(|| resume_unwind(Box::new("text"))), Err::<(), _>(Panicked));
        assert_eq!(catch_panic(|| resume_unwind(Box::new(PanicOnDrop(2)))), Err::<(), _>(Panicked));
        drop_caught(PanicOnDrop(3));
        drop(CatchDrop::new(PanicOnDrop(3)));
        drop_caught(CatchDrop::new(PanicOnDrop(3)).into_inner());
    }
}
