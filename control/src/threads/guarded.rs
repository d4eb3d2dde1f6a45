use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::guard::{Panicked, call};

/// A future of a library. The guard is set while it is polled or dropped, and at no time in between:
/// other tasks of the same thread are none of its business.
pub(crate) struct Guarded<F> {
    /// None once it has ended.
    future: Option<Pin<Box<F>>>,
}

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

impl<F> Drop for Guarded<F> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::threads::guard::IS_SET;

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
