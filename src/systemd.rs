//! What a service manager such as systemd passes to the process, and hears of it.

mod heartbeat;
mod inherited;
mod notifier;
mod origin;
mod status;
mod supervision;
mod supervisor;

pub(crate) use origin::Origin;
pub(crate) use supervisor::Supervisor;
