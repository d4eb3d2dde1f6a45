//! Real servers, and a control plane watched from outside: by a core's subscriber and the admin
//! server.
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use control::status::Status;
use control::{Control, ServiceSettings, Settings, breaker, discovery, health, policy, zone};
use exchange::{CoreCounters, Report, Reporter, ServiceIndex, Snapshot, Subscriber, Target};
use testkit::backend::HealthServer;
use testkit::http;
use testkit::net::stream;
use testkit::wait::wait_for;

/// A server that answers each probe with a status that can be changed; 0: it hangs. It goes on until
/// the process ends.
pub(crate) fn serve(status: u16) -> &'static HealthServer {
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), status)
}

/// One at this address.
pub(crate) fn serve_at(address: SocketAddr, status: u16) -> &'static HealthServer {
    let server = HealthServer::start_on(address);
    server.set_status(status);
    Box::leak(Box::new(server))
}

/// The server as a target.
pub(crate) fn target(server: &HealthServer) -> Target {
    Target::at(server.address)
}

/// Quick checks: every 50 ms, rise 2, fall 3.
pub(crate) fn settings(discovery: discovery::DiscoverySettings, timeout: Duration) -> Settings {
    Settings {
        discovery,
        discovery_period: Duration::from_mins(1),
        services: vec![ServiceSettings {
            port: None,
            target_port: None,
            health: health::HealthSettings {
                protocol: health::CheckProtocol::Http,
                host: None,
                body: None,
                period: Duration::from_millis(50),
                path: "/ping".parse().unwrap(),
                timeout,
                port: None,
                status: "200-399".parse().unwrap(),
                rise: 2,
                fall: 3,
                proxy_header: None,
            },
            affinity: false,
        }],
        connect_timeout: Duration::from_secs(2),
        zone: zone::ZoneSettings::Ignored,
        source_addresses: Vec::new(),
        probes_max: control::MAX_PROBES,
        policy: policy::PolicySettings {
            fail_open_threshold: 0,
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
            breaker: breaker::BreakerSettings { threshold: 5, timeout: Duration::from_mins(5) },
        },
    }
}

/// A control plane on a runtime of its own, on a thread of its own, as in the binary.
pub(crate) struct Plane {
    pub(crate) admin: SocketAddr,
    pub(crate) counters: Arc<[CoreCounters]>,
    pub(crate) control: Control,
    subscriber: Subscriber,
    latest: Mutex<Arc<Snapshot>>,
    reporter: Mutex<Reporter>,
    /// Ends the runtime's thread when dropped.
    _running: tokio::sync::oneshot::Sender<()>,
}

impl Plane {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), settings)
    }

    /// With an admin server that `listener` is for.
    pub(crate) fn start_on(listener: TcpListener, settings: Settings) -> Self {
        let admin = listener.local_addr().unwrap();
        let (publisher, mut subscribers) = exchange::broadcast(1, 1).unwrap();
        let (mut reporters, reports) = exchange::reports(1).unwrap();
        let counters: Arc<[CoreCounters]> = [CoreCounters::default()].into();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(control::MAX_BLOCKING_THREADS)
            .thread_stack_size(256 << 10)
            .enable_all()
            .build()
            .unwrap();
        let entered = runtime.enter();
        let control =
            Control::start(settings, publisher, reports, Arc::clone(&counters), Some(listener))
                .unwrap();
        drop(entered);
        let (running, ended) = tokio::sync::oneshot::channel();
        thread::spawn(move || {
            runtime.block_on(ended).unwrap_err();
            runtime.shutdown_background();
        });
        Self {
            admin,
            counters,
            control,
            subscriber: subscribers.remove(0).remove(0),
            latest: Mutex::default(),
            reporter: Mutex::new(reporters.remove(0)),
            _running: running,
        }
    }

    /// What a core would see now.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let mut latest = self.latest.lock().unwrap();
        if let Some(newer) = self.subscriber.latest() {
            assert!(newer.generation() > latest.generation());
            *latest = newer;
        }
        Arc::clone(&latest)
    }

    /// What operators would be told now.
    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.control.statuses().borrow().services()[0].status)
    }

    /// A core says that so many connects of `target` have failed since the last that succeeded.
    pub(crate) fn connects_failed(&self, target: &Target, count: u32) {
        let target = Arc::new(target.clone());
        let error = std::io::ErrorKind::ConnectionRefused;
        let report = Report { service: ServiceIndex::FIRST, target, count, successes: 0, error };
        self.reporter.lock().unwrap().report(report);
    }

    /// Each target's state in order; those that are eligible, as a core would see it, with a star.
    pub(crate) fn states(&self) -> String {
        let status = self.status();
        let shown = status
            .targets()
            .iter()
            .map(|it| format!("{}{}", it.state(), if it.is_eligible() { "*" } else { "" }));
        shown.collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn wait_for_states(&self, expected: &str) {
        wait_for(expected, || self.states(), |states| states == expected);
    }

    /// The admin server's answer: status and body.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        let answer = http::get(self.admin, path).unwrap();
        (answer.status, answer.body)
    }

    /// All that the admin server sends after `request`, until it closes.
    pub(crate) fn request(&self, request: &str) -> String {
        let mut stream = stream::connect(self.admin).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        String::from_utf8(stream::read_to_end(&stream).unwrap()).unwrap()
    }

    /// The value of a metric's only series, or of the one given with its labels.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }
}
