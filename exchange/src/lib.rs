//! The vocabulary shared by the control plane and the data plane, and the only place where they
//! meet: targets, immutable snapshots of them, the channel that broadcasts snapshots to the
//! cores, and the counters the cores keep for the metrics endpoint.
//!
//! There is no I/O and no runtime in here, apart from the eventfd that ends a core's wait.

mod channel;
mod counters;
mod snapshot;
mod target;

pub use channel::{Publisher, Subscriber, Waker, broadcast};
pub use counters::{CoreCounters, Counter, TargetCounters};
pub use snapshot::{Entry, Generation, Locality, Snapshot, TargetState};
pub use target::{Target, TargetId};
