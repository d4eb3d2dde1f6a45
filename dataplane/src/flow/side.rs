/// One of the two connections of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client = 0,
    Target = 1,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Client, Self::Target];

    pub(crate) fn peer(self) -> Self {
        match self {
            Self::Client => Self::Target,
            Self::Target => Self::Client,
        }
    }
}
