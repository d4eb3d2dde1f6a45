//! Where targets come from.

mod admission;
#[cfg(any(test, feature = "aws"))]
pub(crate) mod belief;
#[cfg(feature = "aws")]
pub(crate) mod ec2;
mod endpoint;
mod file;
mod label;
mod static_list;
mod watch;
pub mod zone;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exchange::Target;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::controller::Event;
use crate::metrics::Metrics;

pub use admission::admit;
#[cfg(feature = "aws")]
pub use ec2::{
    AwsSettings, Fault, FaultKind, Found, Ignored, Mode, Reason, discover_once, iam_policy,
};
pub(crate) use file::FileError;
pub use file::read_file;
pub use static_list::parse_targets;

/// Where targets come from.
#[derive(Clone, Debug)]
pub enum Settings {
    /// A list that never changes; not empty.
    Static(Vec<Target>),
    /// A file in Prometheus' `file_sd` JSON format, read again when it changes.
    File(FileSettings),
    /// The instances of an AWS account, as they come and go.
    #[cfg(feature = "aws")]
    Aws(AwsSettings),
}

/// How the target file is read.
#[derive(Clone, Debug)]
pub struct FileSettings {
    /// Where the file is.
    pub path: PathBuf,
    /// The port of targets that name none.
    pub default_port: u16,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
}

/// Sends the targets to the controller, now and whenever they may have changed, until the
/// controller is gone. A file is read at once when `refresh` is notified.
pub(crate) async fn run(
    settings: Settings,
    period: Duration,
    refresh: Arc<Notify>,
    metrics: Arc<Metrics>,
    events: mpsc::Sender<Event>,
) {
    match settings {
        Settings::File(file) => watch::run(file, period, &refresh, &metrics, &events).await,
        #[cfg(feature = "aws")]
        Settings::Aws(aws) => ec2::run(aws, &metrics, &events).await,
        Settings::Static(targets) => {
            let mut ticks = tokio::time::interval(period.max(Duration::from_millis(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                metrics.discovered();
                if events.send(Event::Discovered(targets.clone())).await.is_err() {
                    return;
                }
            }
        }
    }
}
