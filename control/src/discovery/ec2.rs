//! Targets from AWS: the members of an Auto Scaling Group, or the instances with a tag. The only
//! module that names AWS.

mod api;
mod client;
mod fault;
mod filter;
mod iam_policy;
mod log_lines;
mod outcome;
mod pace;
mod poll;
mod poller;
mod timeouts;
mod tracker;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::controller::event::Event;
use crate::jitter::Jitter;
use crate::log_lines::escaped::Quoted;
use crate::metrics::Metrics;
use pace::Pace;
use poller::Poller;
use timeouts::Timeouts;
use tracker::Tracker;

pub use fault::{Fault, FaultKind};
pub use filter::{Ignored, Reason};
pub use iam_policy::iam_policy;
pub(crate) use outcome::RefreshOutcome;
pub use poll::Found;
pub(crate) use tracker::InstanceCounts;

/// How targets are looked for in AWS.
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// What makes an instance a target.
    pub mode: Mode,
    /// The region of the targets; where none is given, the profile's, and else `default_region`.
    pub region: Option<String>,
    /// The region where none is given in any form.
    pub default_region: String,
    /// The port of the targets.
    pub default_port: u16,
    /// Where the balancer itself listens: never a target.
    pub own_address: SocketAddr,
    /// Whether loopback addresses may be targets.
    pub allow_loopback: bool,
    /// In percent (0-100): an answer that would remove more than this share of the targets has to
    /// be confirmed.
    pub shrink_limit: u8,
    /// Time between two refreshes, jittered by ±10 %; not zero. It also bounds how long a refresh
    /// may take.
    pub period: Duration,
    /// The names of the variables that lead requests through a proxy, or around it, as far as they
    /// are set.
    pub proxies: Vec<String>,
}

impl AwsSettings {
    fn region(&self) -> &str {
        self.region.as_ref().unwrap_or(&self.default_region)
    }
}

/// What makes an instance a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is running and has this tag.
    Tag {
        /// The tag's name.
        name: String,
        /// The tag's value; AWS takes `*` and `?` as wildcards.
        value: String,
    },
    /// It is running and a member of this Auto Scaling Group, in service.
    Asg {
        /// The group's name.
        name: String,
    },
}

/// Looks for targets once.
///
/// # Errors
/// Why nothing could be found out, and what to do about it.
pub async fn discover_once(settings: &AwsSettings) -> Result<Found, Fault> {
    let settings = located(settings.clone()).await;
    Poller::new(settings).await.refresh(Vec::new()).await
}

/// The same, with the region that is asked.
async fn located(settings: AwsSettings) -> AwsSettings {
    let region = client::region(&settings).await;
    AwsSettings { region: Some(region), ..settings }
}

/// Sends the targets to the controller whenever something was learnt about them, until the
/// controller is gone. What goes wrong keeps the last good targets.
pub(super) async fn run(settings: AwsSettings, metrics: &Metrics, events: &mpsc::Sender<Event>) {
    let settings = located(settings).await;
    log::info!("targets are {}, in region {}", settings.mode, settings.region());
    let mut tracker = Tracker::new(&settings);
    let mut pace = Pace::new(settings.period);
    let mut jitter = Jitter::new();
    let mut poller = Poller::new(settings).await;
    loop {
        let started = Instant::now();
        let refreshed = poller.refresh(tracker.targets()).await;
        let progress = tracker.follow(refreshed);
        metrics.refreshed(progress.outcome, progress.counts.as_ref());
        for (level, line) in progress.lines {
            log::log!(level, "{line}");
        }
        if let Some(targets) = progress.targets
            && events.send(Event::Discovered(targets)).await.is_err()
        {
            return;
        }
        sleep_until(started + jitter.apply(pace.after(progress.outcome))).await;
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag { name, value } => {
                write!(f, "the instances with the tag {}={}", Quoted(name), Quoted(value))
            }
            Self::Asg { name } => {
                write!(f, "the members of the Auto Scaling Group {}", Quoted(name))
            }
        }
    }
}
