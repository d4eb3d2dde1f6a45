use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use super::dns;
#[cfg(feature = "aws")]
use super::ec2;
use super::settings::DiscoverySettings;
use super::watch;
use crate::controller::event::Event;
use crate::metrics::Metrics;

/// Sends the targets to the controller, now and whenever they may have changed, until the
/// controller is gone. A file is read at once when `refresh` is notified.
pub(crate) async fn run(
    settings: DiscoverySettings,
    period: Duration,
    refresh: Arc<Notify>,
    metrics: Arc<Metrics>,
    events: mpsc::Sender<Event>,
) {
    match settings {
        DiscoverySettings::File(file) => {
            watch::run(file, period, &refresh, &metrics, &events).await;
        }
        DiscoverySettings::Dns(dns) => dns::refresh::run(dns, &metrics, &events).await,
        #[cfg(feature = "aws")]
        DiscoverySettings::Aws(aws) => ec2::refresh::run(aws, &metrics, &events).await,
        DiscoverySettings::Static(targets) => {
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
