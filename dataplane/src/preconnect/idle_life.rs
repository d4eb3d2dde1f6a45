use std::time::Duration;

/// How long a connection may wait for its client at most: servers end idle connections after
/// seconds, and what is between forgets them after minutes.
const LIFE_MAX: Duration = Duration::from_millis(500);
/// What the first step up from nothing leads to.
const LIFE_STEP_MIN: Duration = Duration::from_millis(1);

/// How long a connection to one target may be unused before it is too old to be given to a client.
///
/// A target that ends unused connections ends one in the moment in which a client gets it, unless
/// none gets that old. So they are used during the first half of the time that the target was seen
/// to allow; it takes a connection that was kept for twice as long for the time to become longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleLife {
    life: Duration,
}

impl IdleLife {
    /// Of a target that nothing is known of yet.
    pub(crate) const fn new() -> Self {
        Self { life: LIFE_MAX }
    }

    /// For how long a connection may be given to a client.
    pub(crate) fn get(&self) -> Duration {
        self.life
    }

    /// Whether it was longer once and may become so again.
    pub(crate) fn is_short(&self) -> bool {
        self.life < LIFE_MAX
    }

    /// The target has ended an unused connection of this age.
    pub(crate) fn note_ended(&mut self, age: Duration) {
        self.life = self.life.min(age / 2);
    }

    /// How old an unused connection has to become for the life to be longer: a quarter more.
    pub(crate) fn proof(&self) -> Duration {
        2 * (self.life * 5 / 4).clamp(LIFE_STEP_MIN, LIFE_MAX)
    }

    /// The target has left an unused connection alone until this age.
    pub(crate) fn note_survived(&mut self, age: Duration) {
        // However late somebody looked: not more than one step.
        self.life = self.life.max(age.min(self.proof()) / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_is_half_of_what_the_target_was_seen_to_allow() {
        let mut life = IdleLife::new();
        assert_eq!((life.get(), life.is_short()), (500 * MS, false));
        life.note_ended(1100 * MS);
        assert_eq!(life.get(), 500 * MS, "more than enough");
        life.note_ended(300 * MS);
        assert_eq!((life.get(), life.is_short()), (150 * MS, true));
        life.note_ended(400 * MS);
        assert_eq!(life.get(), 150 * MS);
    }

    #[test]
    fn it_grows_in_steps_each_of_which_was_proven_and_up_to_its_bound() {
        let mut life = IdleLife::new();
        life.note_ended(Duration::ZERO);
        assert_eq!(life.proof(), 2 * MS, "from nothing, too");
        let (mut steps, mut waited) = (0, Duration::ZERO);
        while life.is_short() {
            let proof = life.proof();
            let mut unproven = life;
            unproven.note_survived(proof * 4 / 5);
            assert!(unproven.get() < proof / 2);
            life.note_survived(10 * proof);
            assert_eq!(life.get(), proof / 2);
            (steps, waited) = (steps + 1, waited + proof);
        }
        assert_eq!(life.get(), LIFE_MAX);
        assert!((20..40).contains(&steps) && waited < 10 * Duration::from_secs(1), "{steps}");
    }
}
