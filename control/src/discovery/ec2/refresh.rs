use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::client;
use super::poll::Found;
use super::poller::Poller;
use super::settings::AwsSettings;
use super::tracker::Tracker;
use super::tracker::pace::Pace;
use crate::controller::event::Event;
use crate::discovery::ec2::fault::Fault;
use crate::jitter::Jitter;
use crate::metrics::Metrics;

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
pub(in crate::discovery) async fn run(
    settings: AwsSettings,
    metrics: &Metrics,
    events: &mpsc::Sender<Event>,
) {
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
