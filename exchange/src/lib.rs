//! The vocabulary shared by the control plane and the data plane, and the only place where they
//! meet: targets, immutable snapshots of them, the channel that broadcasts snapshots to the
//! cores, the one by which the cores report failed connects, and the counters they keep.
//!
//! There is no I/O and no runtime in here, apart from the eventfds that end a wait.

mod affinity;
mod channel;
mod counters;
mod rebalance_budget;
mod rebalance_close;
mod report;
mod service;
mod snapshot;
mod target;

pub use affinity::{Affinity, ClientKey, TargetKey};
pub use channel::{Publisher, Subscriber, Waker, broadcast};
pub use counters::{
    ConnectCounters, ConnectDurations, ConnectionCounters, CoreCounters, Counter,
    PreconnectCounters, Rejection, Rejections, ServiceCounters, TargetCounters, TargetOnCore,
};
pub use rebalance_budget::RebalanceBudget;
pub use rebalance_close::RebalanceClose;
pub use report::{Report, Reporter, Reports, reports};
pub use service::ServiceIndex;
pub use snapshot::{
    Eligibility, Entry, Generation, Locality, Ramp, ResetReason, Routing, Snapshot,
};
pub use target::{Target, TargetId};
