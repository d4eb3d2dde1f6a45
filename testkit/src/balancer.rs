//! The real binary between real clients and real targets.
//!
//! Every server has a loopback address of its own, so tests run in parallel without agreeing on
//! ports, and all targets of a balancer share one port, and another one for health checks.

mod binary;
pub mod metrics;

use std::fmt::Display;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::http::{self, Answer, Client};
use crate::net::port::Port;
use crate::net::stream;
use crate::process::Process;
use crate::wait::{wait_for, wait_until};

pub use binary::Binary;

/// A balancer on an address of its own. Killed when dropped, and what it logged is shown if the test
/// failed; it must not have ended by then, unless the test waited for that.
#[derive(Debug)]
pub struct Balancer {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// What runs it.
    pub process: Process,
    binary: Binary,
    /// Held by one on all addresses.
    _port: Option<Port>,
}

impl Balancer {
    /// Starts another one beside it that serves on the same address, with an admin server of its own,
    /// and waits until that is ready.
    #[must_use]
    pub fn start_beside(&self, admin: SocketAddr, targets: &[SocketAddr]) -> Self {
        let balancer = self.spawn_beside(admin, targets, &[("OVERLAP", "true")]);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts another one on the same address, and waits for nothing.
    #[must_use]
    pub fn spawn_beside(
        &self,
        admin: SocketAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let command = self.binary.command();
        self.binary.run_on(command, [self.address, admin], None, targets, environment)
    }

    /// What the admin server answers; `None` where nobody does.
    pub fn admin_get(&self, path: &str) -> Option<Answer> {
        http::get(self.admin, path).ok()
    }

    /// Whether `/readyz` says so; its status is `None` while the admin server cannot be reached.
    pub fn readiness(&self) -> Option<u16> {
        self.admin_get("/readyz").map(|answer| answer.status)
    }

    /// Waits until it accepts clients and has a target for them.
    pub fn wait_until_ready(&self) {
        wait_for("readiness", || self.readiness(), |status| *status == Some(200));
    }

    /// A connection to it.
    pub fn connect(&self) -> TcpStream {
        stream::connect(self.address).unwrap()
    }

    /// A client that is connected.
    pub fn client(&self) -> Client {
        Client(self.connect())
    }

    /// The body of one request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let answer = self.client().get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    }

    #[track_caller]
    fn admin_text(&self, path: &str) -> String {
        let answer = http::get(self.admin, path).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        answer.body
    }

    /// The value of a series of `/metrics`, if there is one; `name` is without `load_balancer_`, but
    /// with labels.
    #[track_caller]
    pub fn find_metric(&self, name: &str) -> Option<f64> {
        metrics::value(&self.admin_text("/metrics"), name)
    }

    /// The value of a series that has to be there.
    #[track_caller]
    pub fn metric(&self, name: &str) -> f64 {
        self.find_metric(name).unwrap_or_else(|| panic!("no metric {name}"))
    }

    /// A metric that is a whole number.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let value = self.metric(name);
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} is {value}");
        format!("{value:.0}").parse().unwrap()
    }

    /// Waits until a metric is this.
    #[track_caller]
    pub fn wait_for_count(&self, name: &str, expected: u64) {
        wait_for(name, || self.count(name), |count| *count == expected);
    }

    /// Waits until `count` more refreshes of discovery ended like this.
    #[track_caller]
    pub fn wait_for_refreshes(&self, outcome: &str, count: u32) {
        let series = format!("discovery_refreshes_total{{outcome=\"{outcome}\"}}");
        wait_until("the admin server answers", || self.admin_get("/healthz").is_some());
        let enough = self.metric(&series) + f64::from(count);
        wait_for(
            &format!("{count} refreshes that end as {outcome}"),
            || self.metric(&series),
            |ended| *ended >= enough,
        );
    }

    /// The entries of `/targets`; `None` while the admin server cannot be reached.
    fn find_targets(&self) -> Option<Vec<Value>> {
        let answer = self.admin_get("/targets")?;
        assert_eq!(answer.status, 200);
        let mut targets: Value = serde_json::from_str(&answer.body).unwrap();
        assert!(targets["generation"].is_u64());
        Some(serde_json::from_value(targets["targets"].take()).unwrap())
    }

    /// The entries of `/targets`.
    #[track_caller]
    pub fn targets(&self) -> Vec<Value> {
        self.find_targets().expect("the admin server answers")
    }

    /// The entry of the target with this address or id, `Null` if there is none.
    #[track_caller]
    pub fn target(&self, name: impl Display) -> Value {
        find(self.targets(), name)
    }

    /// The ids of the targets in this state, in order.
    pub fn ids(&self, state: &str) -> Vec<String> {
        let all = self.find_targets().unwrap_or_default().into_iter();
        let targets = all.filter(|target| target["state"] == state);
        let mut ids: Vec<_> = targets.map(|it| it["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    }

    /// Waits until the target with this address or id is in this state.
    #[track_caller]
    pub fn wait_for_state(&self, name: impl Display, state: &str) {
        let is_right = |target: &Value| target["state"] == state;
        wait_for(
            &format!("{name} {state}"),
            || find(self.find_targets().unwrap_or_default(), &name),
            is_right,
        );
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process this signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the process has ended by itself; its exit code and how long that took.
    pub fn wait_for_end(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let status = self.process.wait();
        (status.code(), started.elapsed())
    }

    /// Log lines so far that contain `text`.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        let log = self.process.stderr();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    /// Waits until a log line contains `text`.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log holds {text:?}"), || !self.log_lines(text).is_empty());
    }
}

fn find(targets: Vec<Value>, name: impl Display) -> Value {
    let name = Value::String(name.to_string());
    let mut targets = targets.into_iter();
    targets.find(|it| it["address"] == name || it["id"] == name).unwrap_or(Value::Null)
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if !self.process.was_waited_for() && !std::thread::panicking() {
            assert!(!self.process.has_ended(), "ended by itself:\n{}", self.process.stderr());
        }
    }
}
