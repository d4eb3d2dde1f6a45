//! Panics of libraries that find or check targets: each is the failure of what was asked, while one
//! anywhere else ends the process.
//!
//! A guard is set on a thread while it is in such a library. The process's panic hook asks
//! [`takes`], and aborts where nothing is set; without a hook that does, all panics are caught.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::escaped::Escaped;

thread_local! {
    static IS_SET: Cell<bool> = const { Cell::new(false) };
    /// Where the latest panic was that this thread's guard has taken.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
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
    let _ = PLACE.try_with(|it| it.replace(place));
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
        Self { message, place: PLACE.with(RefCell::take) }
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

/// A future of a library. The guard is set while it is polled or dropped, and at no time in between:
/// other tasks of the same thread are none of its business.
#[cfg(any(test, feature = "aws"))]
pub(crate) struct Guarded<F> {
    /// None once it has ended.
    future: Option<Pin<Box<F>>>,
}

#[cfg(any(test, feature = "aws"))]
impl<F> Guarded<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Some(Box::pin(future)) }
    }

    fn end(&mut self) {
        if let Some(future) = self.future.take() {
            // Why its remains could not be dropped is no news after all else.
            let _ = call(|| drop(future));
        }
    }
}

#[cfg(any(test, feature = "aws"))]
impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut().expect("it is not polled after its end");
        let polled = match call(|| future.as_mut().poll(context)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panicked) => Err(panicked),
        };
        self.end();
        Poll::Ready(polled)
    }
}

#[cfg(any(test, feature = "aws"))]
impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Panics in the end, having seen the guard each time it was polled.
    struct Fragile {
        polls_left: u32,
        panics_when_dropped: bool,
    }

    impl Future for Fragile {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            assert!(IS_SET.get(), "polled without a guard");
            assert!(self.polls_left > 0, "a reason\nin two lines");
            self.polls_left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    impl Drop for Fragile {
        fn drop(&mut self) {
            assert!(IS_SET.get(), "dropped without a guard");
            assert!(!self.panics_when_dropped, "another one");
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

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

    #[test]
    fn a_future_is_guarded_while_it_is_polled_and_no_longer() {
        let fragile = Fragile { polls_left: 3, panics_when_dropped: true };
        let others = async {
            for _ in 0..10 {
                assert!(!IS_SET.get(), "another task runs under the guard");
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = block_on(async { tokio::join!(Guarded::new(fragile), others) });
        assert!(ended.unwrap_err().to_string().contains("a reason"));
    }

    #[test]
    fn one_that_is_given_up_is_dropped_under_the_guard() {
        let fragile = Fragile { polls_left: u32::MAX, panics_when_dropped: true };
        let mut guarded = Guarded::new(fragile);
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut guarded).poll(&mut context).is_pending());
        drop(guarded);
        assert!(!IS_SET.get());
        assert!(Pin::new(&mut Guarded::new(pending::<()>())).poll(&mut context).is_pending());
    }
}
