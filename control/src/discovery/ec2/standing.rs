use super::Outcome;
use crate::background::Priority;

/// For how many refreshes AWS is asked at ordinary priority after one that failed.
const ORDINARY: u32 = 30;

/// At which priority AWS is asked: below everybody, so that no client waits while an answer is
/// parsed. But CPUs that are busy for good leave next to nothing to those below, and a fleet has to
/// grow just then: the first refresh, and those after one that failed, are done like all other work.
/// Pure.
#[derive(Debug, Default)]
pub(super) struct Standing {
    ordinary_left: u32,
}

impl Standing {
    /// The priority of the first refresh: nothing can be served before.
    pub(super) const FIRST: Priority = Priority::Ordinary;

    /// The priority of the refresh after the one that ended like this.
    pub(super) fn after(&mut self, outcome: Outcome) -> Priority {
        if matches!(outcome, Outcome::Failed(_)) {
            self.ordinary_left = ORDINARY;
        }
        let Some(left) = self.ordinary_left.checked_sub(1) else { return Priority::Idle };
        self.ordinary_left = left;
        Priority::Ordinary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::belief::Verdict;
    use crate::discovery::ec2::FaultKind;

    #[test]
    fn after_a_failure_it_is_work_like_any_other_for_a_while() {
        let mut standing = Standing::default();
        let good = Outcome::Answered(Verdict::Believed);
        let late = Outcome::Failed(FaultKind::Timeout);
        assert_eq!(standing.after(good), Priority::Idle);
        assert_eq!(standing.after(late), Priority::Ordinary);
        assert_eq!(standing.after(good), Priority::Ordinary);
        assert_eq!(standing.after(late), Priority::Ordinary);
        for _ in 1..ORDINARY {
            assert_eq!(standing.after(good), Priority::Ordinary);
        }
        assert_eq!(standing.after(good), Priority::Idle);
    }
}
