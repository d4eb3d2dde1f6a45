pub(crate) mod settings;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange::{CoreCounters, Publisher, Reports, ServiceIndex};
use tokio::sync::{Notify, mpsc, watch};

use crate::admin;
use crate::controller::affinity::Tables;
use crate::controller::check_group::CheckGroup;
use crate::controller::event::Event;
use crate::controller::service::Service;
use crate::controller::{self, Controller, reports};
use crate::discovery::{self, DiscoverySettings, zone};
use crate::health::prober::{Prober, Slots};
use crate::health::reconnect::Reconnector;
use crate::health::{CheckProtocol, HealthSettings};
use crate::jitter::Jitter;
use crate::metrics::{Metrics, overflows};
use crate::policy::{PolicySettings, Roster, Rules};
use crate::status::Statuses;
use settings::{ServiceSettings, Settings};

/// Once a target has passed its first check, clients wait no longer than this, nor than a check may
/// take, for the first checks of all others.
const WARMUP_MAX: Duration = Duration::from_secs(2);

/// The running control plane. Its tasks run on the tokio runtime it was started on, until that ends;
/// threads that they start end soon after.
#[derive(Debug)]
pub struct Control {
    accepting: Arc<AtomicBool>,
    statuses: watch::Receiver<Statuses>,
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
    ///
    /// # Panics
    /// When there are not as many channels as services.
    pub fn start(
        settings: Settings,
        publisher: Publisher,
        reports: Reports,
        counters: Arc<[CoreCounters]>,
        admin: Option<TcpListener>,
    ) -> std::io::Result<Self> {
        assert_eq!(publisher.services(), settings.services.len(), "a channel for each service");
        let ports: Vec<_> = settings.services.iter().map(|service| service.port).collect();
        let metrics =
            Arc::new(Metrics::new(counters, ports.clone(), settings.source_addresses.clone()));
        let unknown = Statuses::unknown(ports.into_iter());
        let (status_sender, statuses) = watch::channel(unknown);
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

        let services = services(&settings, publisher.cores());
        let checks = check_groups(&settings, &metrics, &event_sender);
        let controller = Controller {
            services,
            checks,
            reconnector: Reconnector {
                connect_timeout: settings.connect_timeout,
                proxy_headers: settings.services.iter().map(|it| it.health.proxy_header).collect(),
                events: event_sender.clone(),
            },
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

    /// The latest statuses, and a way to wait for the next. They are empty before the first are
    /// published.
    pub fn statuses(&self) -> watch::Receiver<Statuses> {
        self.statuses.clone()
    }
}

fn services(settings: &Settings, cores: usize) -> Vec<Service> {
    let services = ServiceIndex::first(settings.services.len()).zip(&settings.services);
    let service = |(index, told): (_, &ServiceSettings)| Service {
        index,
        port: told.port,
        target_port: told.target_port,
        roster: Roster::new(rules(settings, told, cores)),
        tables: told.affinity.then(Tables::default),
        status: Arc::default(),
    };
    services.map(service).collect()
}

fn rules(settings: &Settings, service: &ServiceSettings, cores: usize) -> Rules {
    let health = &service.health;
    // Clients that keep their targets would be led back to where they were.
    let rebalance_rate = if service.affinity { 0 } else { settings.policy.rebalance_rate };
    Rules {
        policy: PolicySettings { rebalance_rate, ..settings.policy },
        affinity: service.affinity,
        rise: health.rise,
        fall: health.fall,
        has_checks: health.protocol != CheckProtocol::None,
        check_port: health.port,
        warmup_max: health.timeout.min(WARMUP_MAX),
        cores,
    }
}

/// A group for each service, but one for all whose targets are checked alike at a port of its own.
fn check_groups(
    settings: &Settings,
    metrics: &Arc<Metrics>,
    events: &mpsc::Sender<Event>,
) -> Vec<CheckGroup> {
    let mut groups: Vec<(&HealthSettings, Vec<ServiceIndex>)> = Vec::new();
    for (index, service) in ServiceIndex::first(settings.services.len()).zip(&settings.services) {
        let health = &service.health;
        let is_alike =
            |(other, _): &&mut (&HealthSettings, _)| health.port.is_some() && *other == health;
        match groups.iter_mut().find(is_alike) {
            Some((_, services)) => services.push(index),
            None => groups.push((health, vec![index])),
        }
    }
    let slots = Slots::new(settings.probes_max);
    let group = |(number, (health, services))| {
        let (metrics, events) = (Arc::clone(metrics), events.clone());
        let prober = Prober::new(number, health, slots.clone(), metrics, events);
        CheckGroup::new(prober, services)
    };
    groups.into_iter().enumerate().map(group).collect()
}
