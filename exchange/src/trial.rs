use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The one connection that may find out whether a target whose circuit breaker is half open can be
/// reached again.
///
/// It is offered to every core in the same snapshot, and the first core that has a client for it
/// claims it: a trial that no client comes for on one core is there for the others, and there
/// cannot be two. The claim is the one read-modify-write of the data plane; it happens at most once
/// per core and trial, and never while no breaker is half open.
#[derive(Debug, Default)]
pub struct Trial(AtomicBool);

impl Trial {
    /// Whether the trial is the caller's to make: true once, for whoever asks first.
    pub fn claim(&self) -> bool {
        // Nothing is published by the claim itself: the order of other memory does not matter.
        !self.0.swap(true, Relaxed)
    }

    /// Whether somebody has claimed it.
    pub fn is_claimed(&self) -> bool {
        self.0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn of_many_threads_one_claims_it() {
        let (trial, claims) = (Arc::new(Trial::default()), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    if trial.claim() {
                        claims.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(claims.load(Ordering::Relaxed), 1);
    }
}
