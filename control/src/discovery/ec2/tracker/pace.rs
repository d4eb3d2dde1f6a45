use std::time::Duration;

use super::outcome::RefreshOutcome;
use crate::discovery::ec2::fault::FaultKind;

/// The longest that throttling lengthens the period to, in periods.
const FACTOR_MAX: u32 = 8;

/// How long to wait from one refresh to the next: while AWS throttles, each time twice as long as
/// the time before, up to [`FACTOR_MAX`] periods. The first answer brings the period back; what
/// goes wrong otherwise changes nothing. Pure.
#[derive(Debug)]
pub(in crate::discovery::ec2) struct Pace {
    period: Duration,
    factor: u32,
}

impl Pace {
    pub(in crate::discovery::ec2) fn new(period: Duration) -> Self {
        Self { period, factor: 1 }
    }

    /// The time from the refresh that ended like this to the next.
    pub(in crate::discovery::ec2) fn after(&mut self, outcome: RefreshOutcome) -> Duration {
        match outcome {
            RefreshOutcome::Failed(FaultKind::Throttled) => {
                self.factor = (self.factor * 2).min(FACTOR_MAX);
            }
            RefreshOutcome::Failed(_) => (),
            RefreshOutcome::Answered(_) => self.factor = 1,
        }
        self.period.saturating_mul(self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::confirmed_targets::Verdict;

    #[test]
    fn throttling_doubles_the_period_until_an_answer() {
        let mut pace = Pace::new(Duration::from_secs(10));
        let mut after = |outcome| pace.after(outcome).as_secs();
        let throttled = RefreshOutcome::Failed(FaultKind::Throttled);
        assert_eq!(after(RefreshOutcome::Answered(Verdict::Accepted)), 10);
        assert_eq!([20, 40, 80, 80, 80].map(|_| after(throttled)), [20, 40, 80, 80, 80]);
        assert_eq!(after(RefreshOutcome::Failed(FaultKind::Timeout)), 80);
        assert_eq!(after(RefreshOutcome::Answered(Verdict::Partial)), 10);
        assert_eq!(after(RefreshOutcome::Failed(FaultKind::Unreachable)), 10);
        assert_eq!(after(throttled), 20);
    }
}
