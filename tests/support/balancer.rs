use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use super::http::{self, Answer};
use super::metrics;
use super::port::Port;
use super::wait_until;

const BINARY: &str = env!("CARGO_BIN_EXE_stateless-load-balancer");

/// The binary under test with nothing in its environment but ports that are free: nothing of the
/// user's leaks into a test, and what else runs on the machine does not matter. Commands of one test
/// have the same ports.
pub(crate) fn command() -> Command {
    alone(Command::new(BINARY))
}

/// The same, started by this script of sh(1), in which it is `"$0"`.
pub(crate) fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, BINARY]);
    alone(shell)
}

fn alone(mut command: Command) -> Command {
    thread_local! {
        /// As long as the thread, that is, the test.
        static PORTS: [Port; 2] = [Port::free(), Port::free()];
    }
    let [port, admin] = PORTS.with(|ports| ports.each_ref().map(Port::text));
    command.env_clear().env("PORT", port).env("ADMIN_PORT", admin).stdin(Stdio::null());
    command
}

/// How a process ended that was expected to end by itself.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The line of standard error that begins with `start`, blanks before it apart.
    pub(crate) fn line(&self, start: &str) -> &str {
        let line = self.stderr.lines().find(|line| line.trim_start().starts_with(start));
        line.unwrap_or_else(|| panic!("no line begins with {start:?}:\n{}", self.stderr))
    }
}

/// Runs the binary with only these variables and free ports, until it ends.
pub(crate) fn run_to_end<N, V>(variables: impl IntoIterator<Item = (N, V)>) -> Ended
where
    N: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    end(command().envs(variables))
}

/// Runs `command` until it ends.
///
/// # Panics
/// When it does not in time; it is killed then.
pub(crate) fn end(command: &mut Command) -> Ended {
    let mut process = Process::spawn(command);
    let code = process.wait().code();
    Ended { code, stdout: process.stdout(), stderr: process.stderr() }
}

/// A running process whose output is kept. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Capture,
    stderr: Capture,
}

impl Process {
    /// Starts `command`.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary starts");
        let stdout = Capture::new(child.stdout.take().expect("it is piped"));
        let stderr = Capture::new(child.stderr.take().expect("it is piped"));
        Self { child, stdout, stderr }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours and not reaped");
    }

    /// Whether it has ended, for whatever reason.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits until it ended by itself and its output is complete.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the process ends", || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        self.stdout.finish();
        self.stderr.finish();
        status.expect("the wait is over")
    }

    /// Its standard output so far.
    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Its standard error so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("--- standard error of the process under test:\n{}", self.stderr());
        }
    }
}

/// A stream that is read as it comes, so that the writer never blocks.
#[derive(Debug)]
struct Capture {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn new(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let read = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let mut text = read.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line));
                text.push('\n');
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
    }
}

/// A balancer on ports of its own. Dropped, it is killed, and what it logged is shown if the test
/// failed.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) process: Process,
    port: Port,
    admin: Port,
}

impl Balancer {
    /// Starts a balancer before `targets` with these further variables, and waits until `/readyz`
    /// says 200.
    pub(crate) fn start(targets: &[SocketAddr], variables: &[(&str, &str)]) -> Self {
        let balancer = Self::spawn(targets, variables);
        balancer.wait_until_ready();
        balancer
    }

    /// Starts it without waiting for anything. Health checks are quick; `variables` may say
    /// otherwise.
    pub(crate) fn spawn(targets: &[SocketAddr], variables: &[(&str, &str)]) -> Self {
        let (port, admin) = (Port::free(), Port::free());
        let list: Vec<_> = targets.iter().map(SocketAddr::to_string).collect();
        let mut command = command();
        command
            .env("HOST", "127.0.0.1")
            .env("PORT", port.text())
            .env("ADMIN_PORT", admin.text())
            .env("NODE_FILTER", "static")
            .env("TARGETS", list.join(","))
            .env("HEALTH_CHECK_PERIOD", "100ms")
            .envs(variables.iter().copied());
        Self { process: Process::spawn(&mut command), port, admin }
    }

    /// Waits until it accepts clients and has a target for them.
    pub(crate) fn wait_until_ready(&self) {
        wait_until("/readyz says 200", || self.get("/readyz").is_some_and(|a| a.status == 200));
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.port.local()
    }

    /// Where operators connect.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.admin.local()
    }

    /// What the admin server answers; `None` where nobody does.
    pub(crate) fn get(&self, path: &str) -> Option<Answer> {
        http::get(self.admin_address(), path).ok()
    }

    /// The value of a series; `name` is without `load_balancer_`, but with labels.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").expect("the admin server answers").body;
        metrics::value(&text, name).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// Waits until a log line holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(&format!("the log holds {text:?}"), || self.process.stderr().contains(text));
    }
}
