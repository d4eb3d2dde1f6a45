/// Counts what is published; a larger one is newer. Snapshots may skip some.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// It as a number: 0 before anything is published.
    pub fn number(self) -> u64 {
        self.0
    }
}
