use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::address::{ports, unique};
use super::http::{self, Client};
use super::{PATIENCE, stream, wait_for, wait_until};

/// The binary under test, running. Killed when dropped; it must not have ended by itself then,
/// unless the test waited for that.
pub struct Balancer {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    child: Child,
    ended: Option<ExitStatus>,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// Quick checks; everything else is as users get it.
const ENVIRONMENT: [(&str, &str); 3] =
    [("HEALTH_CHECK_PERIOD", "50ms"), ("NODE_CHECK_PERIOD", "100ms"), ("NODE_FILTER", "static")];

impl Balancer {
    /// Starts it for `targets` and waits until it is ready. `environment` comes last and wins.
    pub fn start(targets: &[SocketAddr], environment: &[(&str, &str)]) -> Self {
        let balancer = Self::spawn(targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it and waits for nothing.
    pub fn spawn(targets: &[SocketAddr], environment: &[(&str, &str)]) -> Self {
        let binary = env!("CARGO_BIN_EXE_stateless-load-balancer");
        Self::run(Command::new(binary), unique(), targets, environment)
    }

    /// Starts it with so many descriptors at most.
    pub fn spawn_with_descriptors(
        most: u32,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut shell = Command::new("sh");
        let binary = env!("CARGO_BIN_EXE_stateless-load-balancer");
        shell.args(["-c", &format!("ulimit -n {most} && exec \"$0\""), binary]);
        Self::run(shell, unique(), targets, environment)
    }

    /// Starts it so that clients connect to `host`, and waits until it is ready.
    pub fn start_on(host: IpAddr, targets: &[SocketAddr], environment: &[(&str, &str)]) -> Self {
        let binary = env!("CARGO_BIN_EXE_stateless-load-balancer");
        let balancer = Self::run(Command::new(binary), host, targets, environment);
        balancer.wait_until_ready();
        balancer
    }

    fn run(
        mut command: Command,
        host: IpAddr,
        targets: &[SocketAddr],
        environment: &[(&str, &str)],
    ) -> Self {
        let address = SocketAddr::new(host, ports().clients);
        let admin = SocketAddr::new(if host.is_ipv4() { host } else { unique() }, ports().admin);
        let targets: Vec<_> = targets.iter().map(ToString::to_string).collect();
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("ADMIN_HOST", admin.ip().to_string())
            .env("ADMIN_PORT", admin.port().to_string())
            .env("HEALTH_CHECK_PORT", ports().health.to_string())
            .env("TARGETS", targets.join(","))
            .envs(ENVIRONMENT)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reader = thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { address, admin, child, ended: None, log, reader: Some(reader) }
    }

    /// Whether `/readyz` says so; its status is `None` while the admin server cannot be reached.
    pub fn readiness(&self) -> Option<u16> {
        http::get(self.admin, "/readyz").ok().map(|(status, _)| status)
    }

    pub fn wait_until_ready(&self) {
        wait_for("readiness", || self.readiness(), |status| *status == Some(200));
    }

    pub fn connect(&self) -> TcpStream {
        stream::connect(self.address).unwrap()
    }

    pub fn client(&self) -> Client {
        Client(self.connect())
    }

    /// The body of one request on a connection of its own.
    pub fn get(&self, path: &str) -> String {
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
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.admin_get("/metrics");
        let line = text.lines().find_map(|line| {
            line.strip_prefix("load_balancer_")?.strip_prefix(name)?.strip_prefix(' ')
        });
        line.map(|value| value.parse().unwrap())
    }

    /// A metric that is a whole number.
    pub fn count(&self, name: &str) -> u64 {
        let value = self.metric(name).unwrap_or_else(|| panic!("no metric {name}"));
        assert!(value >= 0.0 && value.fract() == 0.0, "{name} is {value}");
        format!("{value:.0}").parse().unwrap()
    }

    pub fn wait_for_count(&self, name: &str, expected: u64) {
        wait_for(name, || self.count(name), |count| *count == expected);
    }

    /// The entries of `/targets`.
    pub fn targets(&self) -> Vec<Value> {
        let mut targets: Value = serde_json::from_str(&self.admin_get("/targets")).unwrap();
        assert!(targets["generation"].is_u64());
        serde_json::from_value(targets["targets"].take()).unwrap()
    }

    /// The entry of one target, `Null` if there is none.
    pub fn target(&self, address: SocketAddr) -> Value {
        let wanted = Value::String(address.to_string());
        self.targets().into_iter().find(|it| it["address"] == wanted).unwrap_or(Value::Null)
    }

    pub fn wait_for_state(&self, address: SocketAddr, state: &str) {
        let is_right = |target: &Value| target["state"] == state;
        wait_for(&format!("{address} {state}"), || self.target(address), is_right);
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until the process has ended by itself; its exit status and how long that took.
    pub fn wait_for_end(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = Some(status);
                return (status.code(), started.elapsed());
            }
            assert!(started.elapsed() < PATIENCE, "the balancer does not end");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Log lines so far that contain `text`.
    pub fn log_lines(&self, text: &str) -> Vec<String> {
        self.log.lock().unwrap().iter().filter(|line| line.contains(text)).cloned().collect()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_until(text, || !self.log_lines(text).is_empty());
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let ended_by_itself = self.ended.is_none() && self.child.try_wait().unwrap().is_some();
        // Fails where it has ended.
        let _ = self.child.kill();
        self.child.wait().unwrap();
        // At its end the log is complete.
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().join("\n");
        if thread::panicking() {
            eprintln!("--- log of the balancer:\n{log}\n---");
        } else {
            assert!(!ended_by_itself, "the balancer has ended by itself:\n{log}");
        }
    }
}
