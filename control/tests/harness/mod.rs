//! Real servers, and a control plane watched from outside: by a core's subscriber and the admin
//! server.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use control::status::Status;
use control::{Control, Settings, breaker, discovery, health, policy, zone};
use exchange::{CoreCounters, Report, Reporter, Snapshot, Subscriber, Target};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server thread that answers each probe with a status that can be changed; 0: it hangs.
pub struct Server {
    pub address: SocketAddr,
    status: Arc<AtomicU16>,
    probes: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(status: u16) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), status)
    }

    pub fn start_on(listener: TcpListener, status: u16) -> Self {
        let address = listener.local_addr().unwrap();
        let server =
            Self { address, status: Arc::new(AtomicU16::new(status)), probes: Arc::default() };
        let (status, probes) = (Arc::clone(&server.status), Arc::clone(&server.probes));
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                probes.fetch_add(1, Ordering::SeqCst);
                match status.load(Ordering::SeqCst) {
                    0 => hanging.push(stream),
                    status => answer(&mut stream, status),
                }
            }
        });
        server
    }

    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn probes(&self) -> usize {
        self.probes.load(Ordering::SeqCst)
    }

    pub fn target(&self) -> Target {
        Target::at(self.address)
    }
}

fn answer(stream: &mut TcpStream, status: u16) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let answer =
        format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: /elsewhere\r\n\r\n");
    drop(stream.write_all(answer.as_bytes()));
}

/// Quick checks: every 50 ms, rise 2, fall 3.
pub fn settings(discovery: discovery::DiscoverySettings, timeout: Duration) -> Settings {
    Settings {
        discovery,
        discovery_period: Duration::from_mins(1),
        health: health::HealthSettings {
            period: Duration::from_millis(50),
            path: "/ping".parse().unwrap(),
            timeout,
            port: None,
            status: "200-399".parse().unwrap(),
            rise: 2,
            fall: 3,
            proxy_header: None,
        },
        connect_timeout: Duration::from_secs(2),
        zone: zone::ZoneSettings::Ignored,
        source_addresses: Vec::new(),
        probes_max: control::MAX_PROBES,
        policy: policy::PolicySettings {
            fail_open_threshold: 0,
            affinity: false,
            drain_timeout: Duration::from_mins(5),
            reset_unhealthy: false,
            slow_start: Duration::ZERO,
            rebalance_rate: 0,
            breaker: breaker::BreakerSettings { threshold: 5, timeout: Duration::from_mins(5) },
        },
    }
}

/// A control plane on a runtime of its own, on a thread of its own, as in the binary.
pub struct Plane {
    pub admin: SocketAddr,
    pub counters: Arc<[CoreCounters]>,
    pub control: Control,
    subscriber: Subscriber,
    latest: Mutex<Arc<Snapshot>>,
    reporter: Mutex<Reporter>,
    /// Ends the runtime's thread when dropped.
    _running: tokio::sync::oneshot::Sender<()>,
}

impl Plane {
    pub fn start(settings: Settings) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), settings)
    }

    /// With an admin server that `listener` is for.
    pub fn start_on(listener: TcpListener, settings: Settings) -> Self {
        let admin = listener.local_addr().unwrap();
        let (publisher, mut subscribers) = exchange::broadcast(1).unwrap();
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
            subscriber: subscribers.remove(0),
            latest: Mutex::default(),
            reporter: Mutex::new(reporters.remove(0)),
            _running: running,
        }
    }

    /// What a core would see now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let mut latest = self.latest.lock().unwrap();
        if let Some(newer) = self.subscriber.latest() {
            assert!(newer.generation() > latest.generation());
            *latest = newer;
        }
        Arc::clone(&latest)
    }

    /// What operators would be told now.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.control.statuses().borrow())
    }

    /// A core says that so many connects of `target` have failed since the last that succeeded.
    pub fn connects_failed(&self, target: &Target, count: u32) {
        let target = Arc::new(target.clone());
        let error = std::io::ErrorKind::ConnectionRefused;
        let report = Report { target, count, successes: 0, error };
        self.reporter.lock().unwrap().report(report);
    }

    /// Each target's state in order; those that are eligible, as a core would see it, with a star.
    pub fn states(&self) -> String {
        let status = self.status();
        let shown = status
            .targets()
            .iter()
            .map(|it| format!("{}{}", it.state(), if it.is_eligible() { "*" } else { "" }));
        shown.collect::<Vec<_>>().join(" ")
    }

    pub fn wait_for_states(&self, expected: &str) {
        wait_for(|| self.states(), |states| states == expected, expected);
    }

    /// The admin server's answer: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = self.request(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// All that the admin server sends after `request`, until it closes.
    pub fn request(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The value of a metric's only series, or of the one given with its labels.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }
}

/// Says that a test cannot run here, past what libtest hides.
pub fn skip(name: &str, reason: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped: {name}: {reason}").unwrap();
}

/// Asks for a value until it is as it must be.
pub fn wait_for<T: std::fmt::Debug>(
    mut value: impl FnMut() -> T,
    is_right: impl Fn(&T) -> bool,
    what: &str,
) -> T {
    let started = Instant::now();
    loop {
        let value = value();
        if is_right(&value) {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}; it is {value:?}");
        thread::sleep(Duration::from_millis(5));
    }
}
