use crate::threads::background::Priority;

/// For how many refreshes AWS is asked at ordinary priority when it did not get done below.
const FIRST_SPAN: u32 = 30;
const SPAN_MAX: u32 = 960;

/// At which priority AWS is asked: below everybody, so that no client waits while an answer is
/// parsed. But CPUs that are busy for good leave next to nothing to those below, and a fleet has to
/// grow just then: what does not get done so is done like all other work for a while, each time for
/// twice as long. So is what follows no answer: the first refresh, for nothing can be served before,
/// and each one while AWS does not answer. Pure.
#[derive(Debug)]
pub(super) struct ThreadPriority {
    is_answered: bool,
    ordinary_left: u32,
    span: u32,
}

impl Default for ThreadPriority {
    fn default() -> Self {
        Self { is_answered: false, ordinary_left: 0, span: FIRST_SPAN }
    }
}

impl ThreadPriority {
    /// The priority of the next refresh.
    pub(super) fn next(&mut self) -> Priority {
        let is_below = self.is_answered && self.ordinary_left == 0;
        self.ordinary_left = self.ordinary_left.saturating_sub(1);
        if is_below { Priority::Idle } else { Priority::Ordinary }
    }

    /// A refresh did not get done below all others; returns how many are done like all other work.
    pub(super) fn starved(&mut self) -> u32 {
        self.ordinary_left = self.span;
        self.span = (self.span * 2).min(SPAN_MAX);
        self.ordinary_left
    }

    /// A refresh that had this priority ended with an answer, or without one.
    pub(super) fn ended(&mut self, priority: Priority, is_answered: bool) {
        self.is_answered = is_answered;
        if is_answered && priority == Priority::Idle {
            self.span = FIRST_SPAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_get_done_below_is_work_like_any_other_for_a_while() {
        let mut priority = ThreadPriority::default();
        priority.ended(Priority::Ordinary, true);
        assert_eq!(priority.next(), Priority::Idle);
        for span in [30, 60, 120, 240, 480, 960, 960] {
            assert_eq!(priority.starved(), span);
            assert!((0..span).all(|_| priority.next() == Priority::Ordinary));
            priority.ended(Priority::Ordinary, true);
            assert_eq!(priority.next(), Priority::Idle);
        }
        priority.ended(Priority::Idle, true);
        assert_eq!(priority.starved(), 30);
    }

    #[test]
    fn as_long_as_aws_does_not_answer_it_is_asked_like_all_else_is_done() {
        let mut priority = ThreadPriority::default();
        assert_eq!(priority.next(), Priority::Ordinary, "the first one");
        priority.ended(Priority::Ordinary, false);
        assert_eq!(priority.next(), Priority::Ordinary);
        priority.ended(Priority::Ordinary, true);
        assert_eq!(priority.next(), Priority::Idle);
        priority.ended(Priority::Idle, false);
        assert_eq!(priority.next(), Priority::Ordinary);
    }
}
