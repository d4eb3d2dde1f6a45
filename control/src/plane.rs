pub(crate) mod settings;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::{CoreCounters, Publisher, Reports};
use tokio::sync::{Notify, mpsc, watch};

use crate::admin;
use crate::controller::affinity::Tables;
use crate::controller::{self, Controller, reports};
use crate::discovery::{self, DiscoverySettings, zone};
use crate::health::prober::Prober;
use crate::health::reconnect::Reconnector;
use crate::jitter::Jitter;
use crate::metrics::{Metrics, overflows};
use crate::policy::{Roster, Rules};
use crate::status::Status;
use settings::Settings;

/// Once a target has passed its first check, clients wait no longer than this, nor than a check may
/// take, for the first checks of all others.
const WARMUP_MAX: Duration = Duration::from_secs(2);

/// The running control plane. Its tasks run on the tokio runtime it was started on, until that ends;
/// threads that they start end soon after.
#[derive(Debug)]
pub struct Control {
    accepting: Arc<AtomicBool>,
    statuses: watch::Receiver<Arc<Status>>,
    /// `None` where a refresh could change nothing.
    refresh: Option<Arc<Notify>>,
}

impl Control {
    /// Starts discovery, health checks and, where `admin` is given (bound and listening already),
    /// the admin server. Must be called inside a tokio runtime with time and I/O enabled and
    /// [`crate::MAX_BLOCKING_THREADS`].
    ///
    /// # Errors
    /// When the admin socket cannot be handed to the runtime.
    pub fn start(
        settings: Settings,
        publisher: Publisher,
        reports: Reports,
        counters: Arc<[CoreCounters]>,
        admin: Option<TcpListener>,
    ) -> std::io::Result<Self> {
        let rules = rules(&settings, publisher.cores());
        let metrics = Arc::new(Metrics::new(counters, settings.source_addresses));
        let (status_sender, statuses) = watch::channel(Arc::default());
        let accepting = Arc::new(AtomicBool::new(false));

        let (event_sender, events) = mpsc::channel(controller::EVENT_QUEUE);

        if let Some(listener) = admin {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let context = admin::Context {
                metrics: Arc::clone(&metrics),
                statuses: statuses.clone(),
                accepting: Arc::clone(&accepting),
                events: event_sender.clone(),
            };
            tokio::spawn(admin::serve(context, listener));
        }

        let controller = Controller {
            roster: Roster::new(rules),
            prober: Prober::new(
                &settings.health,
                settings.probes_max,
                Arc::clone(&metrics),
                event_sender.clone(),
            ),
            reconnector: Reconnector {
                connect_timeout: settings.connect_timeout,
                proxy_header: settings.health.proxy_header,
                events: event_sender.clone(),
            },
            tables: settings.policy.affinity.then(Tables::default),
            events: event_sender.clone(),
            publisher,
            statuses: status_sender,
            metrics: Arc::clone(&metrics),
            due: None,
            jitter: Jitter::new(),
        };
        tokio::spawn(controller.run(events));
        tokio::spawn(reports::pass_on(
            reports::Wakes::of(&reports)?,
            reports,
            event_sender.clone(),
        ));
        tokio::spawn(overflows::count(Arc::clone(&metrics)));
        tokio::spawn(zone::run(settings.zone, event_sender.clone()));
        let refresh = Arc::new(Notify::new());
        let can_refresh = matches!(settings.discovery, DiscoverySettings::File(_));
        tokio::spawn(discovery::run(
            settings.discovery,
            settings.discovery_period,
            Arc::clone(&refresh),
            metrics,
            event_sender,
        ));
        Ok(Self { accepting, statuses, refresh: can_refresh.then_some(refresh) })
    }

    /// Says whether the data plane accepts connections; `/readyz` is 503 while it does not, as it
    /// is until this was first called.
    pub fn set_accepting(&self, accepting: bool) {
        self.accepting.store(accepting, Ordering::Relaxed);
    }

    /// Has the target file read at once, changed or not; `false` where there is none.
    pub fn refresh(&self) -> bool {
        self.refresh.as_deref().map(Notify::notify_one).is_some()
    }

    /// The latest status, and a way to wait for the next. It is empty before the first one is
    /// published.
    pub fn statuses(&self) -> watch::Receiver<Arc<Status>> {
        self.statuses.clone()
    }
}

fn rules(settings: &Settings, cores: usize) -> Rules {
    Rules {
        policy: settings.policy,
        rise: settings.health.rise,
        fall: settings.health.fall,
        check_port: settings.health.port,
        warmup_max: settings.health.timeout.min(WARMUP_MAX),
        cores,
    }
}
