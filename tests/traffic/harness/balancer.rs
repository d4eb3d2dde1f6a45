use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::address::{ports, unique};
use super::http::{self, Client};
use super::{stream, wait_for, wait_until};
use crate::support::balancer::{Process, command, shell};
use crate::support::metrics;
use crate::support::port::Port;

/// The binary under test between real clients and targets, on an address of its own. Killed when
/// dropped; it must not have ended by then, unless the test waited for that.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    process: Process,
    /// Held by one on all addresses.
    _port: Option<Port>,
    may_have_ended: bool,
}

/// Quick checks; everything else is as users get it.
const ENVIRONMENT: [(&str, &str); 3] =
    [("HEALTH_CHECK_PERIOD", "50ms"), ("NODE_CHECK_PERIOD", "100ms"), ("NODE_FILTER", "static")];

impl Balancer {
    /// Starts it for `targets` and waits until it is ready. `environment` comes last and wins.
    pub(crate) fn start(targets: &[SocketAddr], environment: &[(&str, &str)]) -> Self {
        let balancer = Self::spawn(targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(targets: &[SocketAddr], environment: &[(&str, &str)]) -> Self {
        Self::run(command(), unique(), targets, environment)
    }

    /// Starts it with so many descriptors at most.
    pub(crate) fn spawn_with_descriptors(
        most: u32,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let shell = shell(&format!("ulimit -n {most} && exec \"$0\""));
        Self::run(shell, unique(), targets, environment)
    }

    /// Starts it so that clients connect to `host`, and waits until it is ready. On all addresses it
    /// has a port of its own.
    pub(crate) fn start_on(
        host: IpAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let balancer = Self::run(command(), host, targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it beside one that serves on the same address, with an admin server of its own, and
    /// waits until it is ready.
    pub(crate) fn start_beside(&self, admin: SocketAddr, targets: &[SocketAddr]) -> Self {
        let balancer = self.spawn_beside(admin, targets, &[("OVERLAP", "true")]);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it on the same address as one that serves, and waits for nothing.
    pub(crate) fn spawn_beside(
        &self,
        admin: SocketAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::run_on(command(), [self.address, admin], None, targets, environment)
    }

    /// Starts it with `socket` for its clients, passed as systemd does. `addresses` are those of the
    /// socket and of the admin server.
    pub(crate) fn spawn_with_socket(
        socket: impl AsFd,
        addresses: [SocketAddr; 2],
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut shell = shell("LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" 3<&0 0</dev/null");
        shell.stdin(socket.as_fd().try_clone_to_owned().unwrap());
        Self::run_on(shell, addresses, None, targets, environment)
    }

    fn run(
        command: Command,
        host: IpAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        // On all addresses it would share, by SO_REUSEPORT, the clients of others that are, too.
        let port = host.is_unspecified().then(Port::free);
        let number = port.as_ref().map_or(ports().clients, Port::number);
        let address = SocketAddr::new(host, number);
        let admin = SocketAddr::new(if host.is_ipv4() { host } else { unique() }, ports().admin);
        Self::run_on(command, [address, admin], port, targets, environment)
    }

    fn run_on(
        mut command: Command,
        [address, admin]: [SocketAddr; 2],
        port: Option<Port>,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        command
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("ADMIN_HOST", admin.ip().to_string())
            .env("ADMIN_PORT", admin.port().to_string())
            .env("HEALTH_CHECK_PORT", ports().health.to_string())
            .env("TARGETS", targets.join(","))
            .envs(ENVIRONMENT)
            .envs(environment.iter().copied());
        let process = Process::spawn(&mut command);
        Self { address, admin, process, _port: port, may_have_ended: false }
    }

    /// Whether `/readyz` says so; its status is `None` while the admin server cannot be reached.
    pub(crate) fn readiness(&self) -> Option<u16> {
        http::get(self.admin, "/readyz").ok().map(|(status, _)| status)
    }

    pub(crate) fn wait_until_ready(&self) {
        wait_for("readiness", || self.readiness(), |status| *status == Some(200));
    }

    pub(crate) fn connect(&self) -> TcpStream {
        stream::connect(self.address).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        Client(self.connect())
    }

    /// The body of one request on a connection of its own.
    pub(crate) fn get(&self, path: &str) -> String {
        let (status, body) = self.client().get(path).unwrap();
        assert_eq!(status, 200);
        String::from_utf8(body).unwrap()
    }

    fn admin_get(&self, path: &str) -> String {
        let (status, body) = http::get(self.admin, path).unwrap();
        assert_eq!(status, 200, "{path}");
        String::from_utf8(body).unwrap()
    }

    /// The value of a series of `/metrics`; `name` is without `load_balancer_`.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        metrics::value(&self.admin_get("/metrics"), name)
    }

    /// A metric that is a whole number.
    pub(crate) fn count(&self, name: &str) -> u64 {
        let value = self.metric(name).unwrap_or_else(|| panic!("no metric {name}"));
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} is {value}");
        format!("{value:.0}").parse().unwrap()
    }

    pub(crate) fn wait_for_count(&self, name: &str, expected: u64) {
        wait_for(name, || self.count(name), |count| *count == expected);
    }

    /// The entries of `/targets`.
    pub(crate) fn targets(&self) -> Vec<Value> {
        let mut targets: Value = serde_json::from_str(&self.admin_get("/targets")).unwrap();
        assert!(targets["generation"].is_u64());
        serde_json::from_value(targets["targets"].take()).unwrap()
    }

    /// The entry of one target, `Null` if there is none.
    pub(crate) fn target(&self, address: SocketAddr) -> Value {
        let wanted = Value::String(address.to_string());
        self.targets().into_iter().find(|it| it["address"] == wanted).unwrap_or(Value::Null)
    }

    pub(crate) fn wait_for_state(&self, address: SocketAddr, state: &str) {
        let is_right = |target: &Value| target["state"] == state;
        wait_for(&format!("{address} {state}"), || self.target(address), is_right);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// Waits until the process has ended by itself; its exit code and how long that took.
    pub(crate) fn wait_for_end(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        self.may_have_ended = true;
        let status = self.process.wait();
        (status.code(), started.elapsed())
    }

    /// Log lines so far that contain `text`.
    pub(crate) fn log_lines(&self, text: &str) -> Vec<String> {
        let log = self.process.stderr();
        log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(text, || !self.log_lines(text).is_empty());
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if !self.may_have_ended && !std::thread::panicking() {
            assert!(!self.process.has_ended(), "ended by itself:\n{}", self.process.stderr());
        }
    }
}
