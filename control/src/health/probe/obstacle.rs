use std::io;

use tokio::time::error::Elapsed;

use super::failure::CheckFlaw;

/// Why a check came to no good end, before it is told in words.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// The answer is not a good one.
    Flaw(CheckFlaw),
    /// No connection came about in time.
    NotConnected,
    /// The head of the answer had begun, and did not end in time.
    SlowHead,
    /// Nothing came in time.
    TimedOut,
    Io(io::Error),
}

impl From<CheckFlaw> for Obstacle {
    fn from(flaw: CheckFlaw) -> Self {
        Self::Flaw(flaw)
    }
}

impl From<io::Error> for Obstacle {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Elapsed> for Obstacle {
    fn from(_: Elapsed) -> Self {
        Self::TimedOut
    }
}

impl From<ureq_proto::Error> for Obstacle {
    fn from(error: ureq_proto::Error) -> Self {
        let how = error.to_string();
        let how = how.trim_start_matches("http parse fail: ");
        Self::Flaw(CheckFlaw::Malformed(how.to_owned()))
    }
}
