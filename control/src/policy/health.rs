use crate::status::TargetState;

/// What a target's checks say about it. Pure: the checks themselves are made elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    verdict: HealthVerdict,
    /// Results in a row that speak against the verdict.
    against: u32,
    has_passed: bool,
    has_first_result: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HealthVerdict {
    #[default]
    Checking,
    Healthy,
    Unhealthy,
}

impl Health {
    /// Takes in one check's result. `rise` and `fall` are as in [`crate::health::HealthSettings`].
    pub(crate) fn record(&mut self, passed: bool, rise: u32, fall: u32) {
        self.has_first_result = true;
        if passed == self.is_healthy() && self.verdict != HealthVerdict::Checking {
            self.against = 0;
            return;
        }
        self.against = self.against.saturating_add(1);
        let (enough, verdict) = if passed {
            (if self.has_passed { rise } else { 1 }, HealthVerdict::Healthy)
        } else {
            (fall, HealthVerdict::Unhealthy)
        };
        self.has_passed |= passed;
        if self.against >= enough {
            self.verdict = verdict;
            self.against = 0;
        }
    }

    /// Notes that a check could not be made: it stays as it was. Where none can be made at all, the
    /// target is one of those that fail-open may use.
    pub(crate) fn note_unknown(&mut self) {
        self.has_first_result = true;
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.verdict == HealthVerdict::Healthy
    }

    pub(crate) fn is_unhealthy(&self) -> bool {
        self.verdict == HealthVerdict::Unhealthy
    }

    /// Whether any check has ended yet, with whatever result.
    pub(crate) fn has_first_result(&self) -> bool {
        self.has_first_result
    }

    /// The state of a target that is not draining.
    pub(crate) fn state(&self) -> TargetState {
        match self.verdict {
            HealthVerdict::Checking => TargetState::Checking,
            HealthVerdict::Healthy => TargetState::Healthy,
            HealthVerdict::Unhealthy => TargetState::Unhealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states after each of `results` (`+` passed, `-` failed), by their first letters.
    fn states(results: &str, rise: u32, fall: u32) -> String {
        let mut health = Health::default();
        let letter = |health: &Health| health.state().as_str().chars().next().unwrap();
        results
            .chars()
            .map(|result| {
                health.record(result == '+', rise, fall);
                assert!(health.has_first_result());
                letter(&health)
            })
            .collect()
    }

    #[test]
    fn the_very_first_pass_admits_at_once() {
        assert!(!Health::default().has_first_result());
        assert_eq!(states("+", 3, 3), "h");
        assert_eq!(states("-+", 3, 3), "ch");
        assert_eq!(states("---+", 3, 3), "ccuh");
        assert_eq!(states("-----+", 3, 3), "ccuuuh");
    }

    #[test]
    fn it_takes_fall_failures_in_a_row_to_be_taken_out() {
        assert_eq!(states("+--+--+---", 2, 3), "hhhhhhhhhu");
        assert_eq!(states("+-", 2, 1), "hu");
    }

    #[test]
    fn a_check_that_was_not_made_changes_no_verdict() {
        let mut health = Health::default();
        health.note_unknown();
        assert!(health.has_first_result());
        assert_eq!(health.state(), TargetState::Checking);
        health.record(true, 2, 2);
        for _ in 0..5 {
            health.note_unknown();
        }
        assert!(health.is_healthy());
        health.record(false, 2, 2);
        health.note_unknown();
        health.record(false, 2, 2);
        assert!(health.is_unhealthy());
    }

    #[test]
    fn it_takes_rise_passes_in_a_row_to_come_back() {
        assert_eq!(states("+---+-++-", 2, 3), "hhhuuuuhh");
        assert_eq!(states("+-++++", 4, 1), "huuuuh");
    }
}
