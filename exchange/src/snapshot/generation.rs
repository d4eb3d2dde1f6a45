/// Counts published snapshots; a larger one is newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// That of the next snapshot.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// How many there were up to this one, since the start.
    pub fn number(self) -> u64 {
        self.0
    }
}
