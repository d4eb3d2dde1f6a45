//! What a service manager hears.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::scratch::Scratch;
use testkit::skip::skip;
use testkit::wait::PATIENCE;

/// Receives what the process tells.
struct Manager(UnixDatagram);

impl Manager {
    fn new(socket: UnixDatagram) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn at(path: &std::path::Path) -> Self {
        Self::new(UnixDatagram::bind(path).unwrap())
    }

    /// The next message; `None` if none comes within `time`.
    fn message(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 4096];
        match self.0.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8(bytes[..length].to_vec()).unwrap()),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
                None
            }
        }
    }

    /// The first line of the next message that says more than a status; `None` if none comes within
    /// `time`.
    fn next_within(&self, time: Duration) -> Option<String> {
        loop {
            let message = self.message(time)?;
            let first = message.lines().next().unwrap();
            if !first.starts_with("STATUS=") {
                return Some(first.to_owned());
            }
        }
    }

    fn next(&self) -> String {
        self.next_within(PATIENCE).expect("a message")
    }

    /// Waits for a message that ends like this.
    fn wait_for(&self, end: &str) {
        while !self.message(PATIENCE).expect("a message").ends_with(end) {}
    }
}

#[test]
fn it_hears_of_the_beginning_and_the_end() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let mut balancer = BINARY.spawn(&[backend.address], &environment);
    assert_eq!(manager.next(), "READY=1");
    // Nothing has to be waited for any more.
    assert_eq!(balancer.get("/"), backend.address.to_string());
    let client = balancer.client();
    balancer.signal(Signal::TERM);
    assert_eq!(manager.next(), "STOPPING=1");
    drop(client);
    assert_eq!(balancer.wait_for_end().0, Some(0));
    // Nobody asked for signs of life.
    assert_eq!(manager.next_within(Duration::from_millis(1)), None);
}

#[test]
fn it_is_asked_for_the_time_that_the_end_may_take() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("SHUTDOWN_DELAY", "100ms"),
        ("SHUTDOWN_TIMEOUT", "2m"),
    ];
    let mut balancer = BINARY.start(&[backend.address], &environment);
    balancer.signal(Signal::TERM);
    let stopping = loop {
        let message = manager.message(PATIENCE).expect("a message");
        if message.starts_with("STOPPING=1\n") {
            break message;
        }
    };
    // 120 s and the delay, 6 s for cores that are stuck, and a margin.
    assert!(stopping.contains("\nEXTEND_TIMEOUT_USEC=130100000\n"), "{stopping}");
    assert_eq!(balancer.wait_for_end().0, Some(0));
}

#[test]
fn it_may_have_an_abstract_name() {
    let backend = Backend::start();
    let name = format!("slb-test-{}-notify", std::process::id());
    let address = UnixAddress::from_abstract_name(&name).unwrap();
    let manager = Manager::new(UnixDatagram::bind_addr(&address).unwrap());
    let environment = [("NOTIFY_SOCKET", &*format!("@{name}"))];
    let _balancer = BINARY.spawn(&[backend.address], &environment);
    assert_eq!(manager.next(), "READY=1");
}

#[test]
fn without_a_target_it_is_ready_when_clients_are_let_in() {
    let mut backend = Backend::start();
    backend.kill();
    backend.set_health(0);
    let scratch = Scratch::new();
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("NODE_FILTER", "file"),
        ("TARGETS_FILE", "/dev/null"),
        ("HEALTH_CHECK_TIMEOUT", "100ms"),
    ];
    let empty = scratch.path("targets");
    fs::write(&empty, "[]").unwrap();
    let environment = environment.map(|(name, value)| match name {
        "TARGETS_FILE" => (name, empty.to_str().unwrap()),
        _ => (name, value),
    });
    let balancer = BINARY.spawn(&[], &environment);
    manager.wait_for("READY=1\nSTATUS=There is no target: clients are turned away");
    assert_eq!(balancer.readiness(), Some(503));
}

#[test]
fn its_status_says_what_becomes_of_clients() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    // It hangs, until it is well.
    backend.set_health(0);
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let file = scratch.path("targets");
    fs::write(&file, format!("[{{\"targets\": [\"{}\"]}}]", backend.address)).unwrap();
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("NODE_FILTER", "file"),
        ("TARGETS_FILE", file.to_str().unwrap()),
        ("HEALTH_CHECK_TIMEOUT", "1m"),
    ];
    let balancer = BINARY.spawn(&[], &environment);
    manager
        .wait_for("STATUS=Waiting for the first health checks: clients wait in the listen queue");
    backend.set_health(200);
    manager.wait_for("READY=1\nSTATUS=Clients are served by 1 target");
    fs::write(&file, "[]").unwrap();
    manager.wait_for("STATUS=There is no target: clients are turned away");
    drop(balancer);
}

#[test]
fn a_manager_that_has_too_much_to_read_hears_it_later() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"of another service", &path).is_ok() {}
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap())];
    let balancer = BINARY.spawn(&[backend.address], &environment);
    balancer.wait_for_log("does not hear that Ready");
    while manager.next() != "READY=1" {}
}

/// Stops the thread that is given, and nothing else of its process, until its input ends: ptrace(2).
const STOP_THREAD: &str = "
import ctypes, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long] * 4
SEIZE, INTERRUPT = 0x4206, 0x4207
thread = int(sys.argv[1])
stopped = ptrace(SEIZE, thread, 0, 0) == 0 and ptrace(INTERRUPT, thread, 0, 0) == 0
print(1 if stopped else 0, flush=True)
sys.stdin.read()
";

/// A stopped thread; it goes on when this is dropped.
struct Stopped(Child);

impl Stopped {
    fn core_of(pid: u32) -> Result<Self, String> {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(Result::unwrap);
        let mut cores = threads.filter(|thread| {
            fs::read_to_string(thread.path().join("comm")).is_ok_and(|it| it.starts_with("core-"))
        });
        let thread = cores.next().expect("a core has a thread").file_name();
        let mut helper = Command::new("python3")
            .args(["-c", STOP_THREAD, thread.to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("no python3: {error}"))?;
        let mut answer = [0];
        helper.stdout.as_mut().unwrap().read_exact(&mut answer).map_err(|it| it.to_string())?;
        let stopped = Self(helper);
        if answer == *b"1" { Ok(stopped) } else { Err("ptrace is not allowed here".to_owned()) }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn signs_of_life_end_while_a_core_stands_still() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    let balancer = BINARY.spawn(&[backend.address], &environment);
    balancer.wait_until_ready();
    let mut messages: Vec<_> = (0..10).map(|_| manager.next()).collect();
    messages.retain(|message| message != "WATCHDOG=1");
    assert_eq!(messages, ["READY=1"]);

    let stopped = match Stopped::core_of(balancer.pid()) {
        Ok(stopped) => stopped,
        Err(reason) => return skip(&reason),
    };
    balancer.wait_for_log("stands still");
    while manager.next_within(Duration::from_millis(1)).is_some() {}
    assert_eq!(manager.next_within(Duration::from_secs(2)), None);
    drop(stopped);
    assert_eq!(manager.next(), "WATCHDOG=1");
}

#[test]
fn a_sign_of_life_comes_as_soon_as_a_core_turns_again() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    // One every two seconds.
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "4000000")];
    let balancer = BINARY.start(&[backend.address], &environment);
    let stopped = match Stopped::core_of(balancer.pid()) {
        Ok(stopped) => stopped,
        Err(reason) => return skip(&reason),
    };
    balancer.wait_for_log("stands still");
    while manager.next_within(Duration::from_millis(1)).is_some() {}
    drop(stopped);
    assert_eq!(manager.next_within(Duration::from_secs(1)).as_deref(), Some("WATCHDOG=1"));
}

#[test]
fn a_core_that_stands_still_does_not_keep_the_process() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[("SHUTDOWN_TIMEOUT", "0")]);
    let stopped = match Stopped::core_of(balancer.pid()) {
        Ok(stopped) => stopped,
        Err(reason) => return skip(&reason),
    };
    balancer.signal(Signal::TERM);
    balancer.wait_for_log("the cores have not ended 5s after SHUTDOWN_TIMEOUT");
    let lines = balancer.log_lines("have not ended");
    let stands_still = |core| lines[0].contains(&format!("standing still: [{core}]"));
    assert!(stands_still(0) != stands_still(1), "{lines:?}");
    // A dead thread is there until whoever traces it has heard of its end.
    drop(stopped);
    assert_eq!(balancer.wait_for_end().0, Some(70));
}

#[test]
fn signs_of_life_go_on_to_the_end() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    let path = scratch.path("notify");
    let manager = Manager::at(&path);
    let environment = [
        ("NOTIFY_SOCKET", path.to_str().unwrap()),
        ("WATCHDOG_USEC", "400000"),
        ("SHUTDOWN_TIMEOUT", "3s"),
    ];
    let mut balancer = BINARY.start(&[backend.address], &environment);
    let mut client = balancer.client();
    client.get("/").unwrap();
    // All cores but one have ended soon.
    balancer.signal(Signal::TERM);
    while manager.next() != "STOPPING=1" {}
    for _ in 0..10 {
        assert_eq!(manager.next(), "WATCHDOG=1");
    }
    drop(client);
    assert_eq!(balancer.wait_for_end().0, Some(0));
}
