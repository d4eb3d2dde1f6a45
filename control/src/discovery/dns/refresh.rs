use std::sync::Arc;

use tokio::sync::mpsc;

use super::fault::DnsFault;
use super::pace::DnsPace;
use super::resolved::Resolved;
use super::resolver;
use super::settings::DnsSettings;
use super::tracker::DnsTracker;
use crate::controller::event::Event;
use crate::metrics::Metrics;

/// Looks the name up once.
///
/// # Errors
/// Why nothing could be found out: a phrase that goes after the name.
pub async fn resolve_once(settings: &DnsSettings) -> Result<Resolved, DnsFault> {
    resolver::resolve(&Arc::new(settings.clone())).await
}

/// Sends the targets to the controller whenever something was learnt about them, until the
/// controller is gone. What goes wrong keeps the last good targets.
pub(in crate::discovery) async fn run(
    settings: DnsSettings,
    metrics: &Metrics,
    events: &mpsc::Sender<Event>,
) {
    log::info!("targets are {settings}");
    let mut tracker = DnsTracker::new(&settings);
    let mut pace = DnsPace::new(settings.period);
    let settings = Arc::new(settings);
    loop {
        let refreshed = resolver::resolve(&settings).await;
        let progress = tracker.follow(&refreshed);
        let wait = match &refreshed {
            Ok(resolved) => pace.answered(resolved.ttl),
            Err(fault) => {
                metrics.discovery_failed(fault.kind.label());
                pace.failed()
            }
        };
        if progress.is_good {
            metrics.discovered();
        }
        for (level, line) in progress.lines {
            log::log!(level, "{line}");
        }
        if let Some(targets) = progress.targets
            && events.send(Event::Discovered(targets)).await.is_err()
        {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}
