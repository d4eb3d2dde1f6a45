mod connect_durations;
mod core_counters;
mod counter;
mod rejection;
mod target_counters;

pub use connect_durations::ConnectDurations;
pub use core_counters::{
    ConnectCounters, ConnectionCounters, CoreCounters, PreconnectCounters, ServiceCounters,
};
pub use counter::Counter;
pub use rejection::{Rejection, Rejections};
pub use target_counters::{TargetCounters, TargetOnCore};
