//! What a service manager such as systemd passes to the process, and hears of it.

mod heartbeat;
mod inherited;
mod notifier;
mod status;
mod supervision;
mod supervisor;

pub(crate) use inherited::Inherited;
pub(crate) use supervision::Supervision;
pub(crate) use supervisor::Supervisor;
