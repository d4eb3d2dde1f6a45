//! The control plane: finds targets, checks their health and decides who may receive traffic. Its
//! only product is an immutable [`exchange::Snapshot`], published to every core.

mod admin;
mod controller;
pub mod discovery;
mod escaped;
pub mod health;
mod jitter;
mod metrics;
pub mod policy;
mod threads;

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::{CoreCounters, Publisher, Reports, Snapshot};
use tokio::sync::{Notify, mpsc, watch};

use admin::Admin;
use controller::affinity::Tables;
use controller::{Controller, reports};
use health::prober::Prober;
use health::reconnect::Reconnector;
use jitter::Jitter;
use metrics::{Metrics, overflows};
use policy::{Roster, Rules};

pub use discovery::zone;
pub use health::probe::{Failure as CheckFailure, Flaw as CheckFlaw};
pub use health::prober::MAX_PROBES;
pub use health::trial::{Trial, check_targets};
pub use policy::breaker;
pub use threads::guard;

/// What the runtime's `max_blocking_threads` has to be, so that no probe ever waits for a thread:
/// one for each probe under way (more than that many are never started), one that reads the target
/// file and a few to spare. Threads are started only as they are needed.
pub const MAX_BLOCKING_THREADS: usize = MAX_PROBES + 8;

/// Most descriptors that the control plane has at a time, beside one for each of
/// [`Settings::probes_max`]: 16 for its runtimes and what wakes them (9 were seen), those of the admin
/// server, and 16 for a target file, AWS and the metadata service (6 were seen).
pub const DESCRIPTORS_MAX: usize = 16 + admin::DESCRIPTORS_MAX + 16;

/// Once a target has passed its first check, clients wait no longer than this, nor than a check may
/// take, for the first checks of all others.
const WARMUP_MAX: Duration = Duration::from_secs(2);

/// What the control plane is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where targets come from.
    pub discovery: discovery::Settings,
    /// How often discovery is refreshed; not zero.
    pub discovery_period: Duration,
    /// How targets are checked.
    pub health: health::Settings,
    /// In percent (0-100): at or below this share of healthy targets, all that are not draining
    /// are used; 0: only when none is healthy.
    pub fail_open_threshold: u8,
    /// Whether clients keep their targets: snapshots then carry an [`exchange::Affinity`].
    pub affinity: bool,
    /// How long connections to a target that drains may go on before they are reset; zero: not at
    /// all.
    pub drain_timeout: Duration,
    /// Whether live connections are reset to a target that fails its health checks and is not used.
    pub reset_unhealthy: bool,
    /// How long the share of a target grows that joins others; zero: it gets all of it at once.
    pub slow_start: Duration,
    /// How many connections a second are closed, at most, where there are too many after targets have
    /// joined; 0: none ever is.
    pub rebalance_rate: u32,
    /// When a target that cannot be connected to is left alone.
    pub breaker: breaker::Settings,
    /// How long the control plane waits for a connection of its own to such a target; not zero.
    pub connect_timeout: Duration,
    /// Which zone this balancer is in, if targets there are to be preferred.
    pub zone: zone::Settings,
    /// Where the data plane connects targets from: says how many local ports there are.
    pub source_addresses: Vec<IpAddr>,
    /// Most health checks at a time, each with a descriptor; at most [`MAX_PROBES`].
    pub probes_max: usize,
}

/// The running control plane. Its tasks run on the tokio runtime it was started on, until that ends;
/// threads that they start end soon after.
#[derive(Debug)]
pub struct Control {
    accepting: Arc<AtomicBool>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// `None` where a refresh could change nothing.
    refresh: Option<Arc<Notify>>,
}

impl Control {
    /// Starts discovery, health checks and, where `admin` is given (bound and listening already),
    /// the admin server. Must be called inside a tokio runtime with time and I/O enabled and
    /// [`MAX_BLOCKING_THREADS`].
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
        let metrics = Arc::new(Metrics::new(counters, settings.source_addresses));
        let (snapshot_sender, snapshots) = watch::channel(Arc::default());
        let accepting = Arc::new(AtomicBool::new(false));

        let (event_sender, events) = mpsc::channel(controller::EVENT_QUEUE);

        if let Some(listener) = admin {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let admin = Admin {
                metrics: Arc::clone(&metrics),
                snapshots: snapshots.clone(),
                accepting: Arc::clone(&accepting),
                events: event_sender.clone(),
            };
            tokio::spawn(admin.serve(listener));
        }

        let rules = Rules {
            rise: settings.health.rise,
            fall: settings.health.fall,
            fail_open_threshold: settings.fail_open_threshold,
            drain_timeout: settings.drain_timeout,
            reset_unhealthy: settings.reset_unhealthy,
            slow_start: settings.slow_start,
            rebalance_rate: settings.rebalance_rate,
            breaker: settings.breaker,
            check_port: settings.health.port,
            warmup_max: settings.health.timeout.min(WARMUP_MAX),
            affinity: settings.affinity,
            cores: publisher.cores(),
        };
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
            tables: settings.affinity.then(Tables::default),
            events: event_sender.clone(),
            publisher,
            snapshots: snapshot_sender,
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
        let can_refresh = matches!(settings.discovery, discovery::Settings::File(_));
        tokio::spawn(discovery::run(
            settings.discovery,
            settings.discovery_period,
            Arc::clone(&refresh),
            metrics,
            event_sender,
        ));
        Ok(Self { accepting, snapshots, refresh: can_refresh.then_some(refresh) })
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

    /// The latest published snapshot, and a way to wait for the next. It is empty, of generation
    /// 0, before the first one is published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }
}
