//! Panics of libraries that find or check targets: each is the failure of what was asked, while one
//! anywhere else ends the process.
//!
//! A guard is set on a thread while it is in such a library. The process's panic hook asks
//! [`takes`], and aborts where nothing is set; without a hook that does, all panics are caught.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

use crate::log_lines::escaped::Escaped;

thread_local! {
    pub(super) static IS_SET: Cell<bool> = const { Cell::new(false) };
    /// Where the latest panic was that this thread's guard has taken.
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// For the process's panic hook: whether somebody takes this panic, who will tell its reason. If not,
/// it has to end the process.
#[must_use]
pub fn takes(panic: &PanicHookInfo<'_>) -> bool {
    if !IS_SET.get() {
        return false;
    }
    // Where it was is known to nobody later. A thread that is about to end has lost the place for it.
    let place = panic.location().map(ToString::to_string);
    let _ = PLACE.try_with(|it| it.set(place));
    // What a runtime catches is told by nobody else.
    log::debug!("a library {panic}");
    true
}

/// A library panicked. Displayed in one line of bounded length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Panicked {
    message: String,
    place: Option<String>,
}

impl Panicked {
    fn of(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let message = Escaped(text.unwrap_or("no reason")).to_string();
        Self { message, place: PLACE.take() }
    }

    /// One on another thread, which has told nobody why.
    #[cfg(feature = "aws")]
    pub(crate) fn unseen() -> Self {
        Self { message: "its thread has ended".to_owned(), place: None }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a library panicked: {}", self.message)?;
        self.place.as_ref().map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}

/// Sets this thread's guard until it is dropped.
struct Guard {
    was_set: bool,
}

impl Guard {
    fn set() -> Self {
        Self { was_set: IS_SET.replace(true) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        IS_SET.set(self.was_set);
    }
}

/// Calls into a library. What it was about to change may be half changed after a panic: it is not to
/// be used again.
///
/// # Errors
/// It panicked.
pub(crate) fn call<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    let _guard = Guard::set();
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::of(&*payload))
}

/// Sets the guard of this thread for good: for one on which only a library's tasks run, whose
/// runtime catches what they panic with.
#[cfg(feature = "aws")]
pub(crate) fn whole_thread() {
    IS_SET.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_panics_is_an_error_that_says_why() {
        assert_eq!(call(|| 3), Ok(3));
        let panicked = call(|| panic!("a reason\nin two lines")).unwrap_err();
        assert_eq!(panicked.to_string(), "a library panicked: a reason\\nin two lines");
        let number = 7;
        let panicked = call(|| panic!("{number}")).unwrap_err();
        assert_eq!(panicked.to_string(), "a library panicked: 7");
        assert!(!IS_SET.get());
    }

    #[test]
    fn the_guard_ends_with_the_call_however_deep() {
        let inner = call(|| {
            assert!(call(|| panic!("within")).is_err());
            IS_SET.get()
        });
        assert_eq!(inner, Ok(true));
        assert!(!IS_SET.get());
    }
}
