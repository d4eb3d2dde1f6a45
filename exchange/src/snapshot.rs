mod entry;
mod generation;
mod locality;
mod ramp;
mod routing;

use std::ops::Deref;

pub use entry::{Eligibility, Entry, ResetReason};
pub use generation::Generation;
pub use locality::Locality;
pub use ramp::Ramp;
pub use routing::Routing;

/// Everything the data plane knows about targets, as of one instant. Never changed once made. A new
/// one is made only when its [`Routing`] is another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    generation: Generation,
    routing: Routing,
}

impl Snapshot {
    /// The snapshot of that number, which says this.
    pub fn new(generation: Generation, routing: Routing) -> Self {
        Self { generation, routing }
    }

    /// Which snapshot this is.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// What it says.
    pub fn routing(&self) -> &Routing {
        &self.routing
    }
}

impl Deref for Snapshot {
    type Target = Routing;

    fn deref(&self) -> &Routing {
        &self.routing
    }
}

/// The first one that says this.
impl From<Routing> for Snapshot {
    fn from(routing: Routing) -> Self {
        Self { generation: Generation::default().next(), routing }
    }
}
