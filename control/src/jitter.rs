use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Spreads what is done every so often over time, so that many instances do not do it in step. Not
/// for secrets.
#[derive(Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new() -> Self {
        // The standard library's hasher is seeded by the operating system.
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// `period`, give or take up to 10 %.
    pub(crate) fn apply(&mut self, period: Duration) -> Duration {
        let permille = u32::try_from(self.draw() % 201).expect("below 201");
        period.saturating_mul(900 + permille) / 1000
    }

    /// From 0.0 up to, not including, 1.0.
    pub(crate) fn fraction(&mut self) -> f64 {
        let bits = u32::try_from(self.draw() >> 32).expect("the upper half");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    fn draw(&mut self) -> u64 {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn it_stays_within_ten_percent_and_varies() {
        let mut jitter = Jitter::new();
        let periods: HashSet<_> =
            (0..10_000).map(|_| jitter.apply(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(periods.iter().min(), Some(&900));
        assert_eq!(periods.iter().max(), Some(&1100));
        assert_eq!(periods.len(), 201);
    }
}
