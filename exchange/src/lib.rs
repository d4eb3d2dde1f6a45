//! The vocabulary shared by the control plane and the data plane, and the only place where they
//! meet: targets, immutable snapshots of them, the channel that broadcasts snapshots to the
//! cores, the one by which the cores report failed connects, and the counters they keep.
//!
//! There is no I/O and no runtime in here, apart from the eventfds that end a wait.

mod affinity;
mod channel;
mod connect_durations;
mod counters;
mod rejection;
mod report;
mod snapshot;
mod surplus;
mod target;

pub use affinity::{Affinity, ClientKey, TargetKey};
pub use channel::{Publisher, Subscriber, Waker, broadcast};
pub use connect_durations::ConnectDurations;
pub use counters::{
    ConnectCounters, ConnectionCounters, CoreCounters, Counter, PreconnectCounters, TargetCounters,
    TargetOnCore,
};
pub use rejection::{Rejection, Rejections};
pub use report::{Report, Reporter, Reports, reports};
pub use snapshot::{
    BreakerState, Checks, Entry, Generation, Locality, Ramp, Snapshot, TargetState,
};
pub use surplus::{Leave, Surplus};
pub use target::{Target, TargetId};
