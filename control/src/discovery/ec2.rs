//! Targets from AWS: the members of an Auto Scaling Group, or the instances with a tag. The only
//! module that names AWS.

mod api;
mod client;
mod failure;
mod fault;
mod log_lines;
mod outcome;
mod pace;
mod policy;
mod screen;
mod standing;
mod survey;
mod surveyor;
mod timeouts;
mod tracker;
mod wholeness;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::controller::Event;
use crate::escaped::Quoted;
use crate::jitter::Jitter;
use crate::metrics::Metrics;
use client::Client;
use pace::Pace;
use surveyor::Surveyor;
use timeouts::Timeouts;
use tracker::Tracker;

pub use fault::{Fault, FaultKind};
pub(crate) use outcome::Outcome;
pub use policy::iam_policy;
pub use screen::{Ignored, Reason};
pub use survey::Found;
pub(crate) use tracker::Census;

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
    let region = client::region(settings).await;
    let config = client::config(settings, &region).await;
    Client::new(&config, settings, &region).refresh(settings).await
}

/// Sends the targets to the controller whenever something was learnt about them, until the
/// controller is gone. What goes wrong keeps the last good targets.
pub(super) async fn run(settings: AwsSettings, metrics: &Metrics, events: &mpsc::Sender<Event>) {
    let region = client::region(&settings).await;
    log::info!("targets are {}, in region {region}", settings.mode);
    let mut tracker = Tracker::new(&settings, &region);
    let mut pace = Pace::new(settings.period);
    let mut jitter = Jitter::new();
    let mut surveyor = Surveyor::new(settings, region).await;
    loop {
        let started = Instant::now();
        let refreshed = surveyor.refresh().await;
        let progress = tracker.follow(refreshed);
        metrics.refreshed(progress.outcome, progress.census.as_ref());
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
