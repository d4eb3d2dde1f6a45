//! The demo, black box, without a terminal and in one.

mod terminal;
mod tmux;

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::Signal;
use testkit::balancer::{Binary, metrics};
use testkit::http;
use testkit::net::port::Port;
use testkit::process::Process;
use testkit::skip::skip;
use testkit::wait::wait_until;
use tmux::Tmux;

/// The binary under test.
const BINARY: Binary = testkit::binary!();

/// The address in the line that says how to kill a target.
fn command_address(stdout: &str) -> Option<SocketAddr> {
    let (_, rest) = stdout.split_once("curl -X POST http://")?;
    rest.split('/').next()?.parse().ok()
}

#[test]
fn it_serves_and_targets_can_be_killed_and_revived_and_it_ends_cleanly() {
    let (port, admin) = (Port::free(), Port::free());
    let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
    let mut demo = Process::spawn(BINARY.command().arg("demo").envs(variables));
    let targets = || http::get(admin.local(), "/targets").map_or(String::new(), |a| a.body);
    wait_until("four targets are healthy", || targets().matches("\"healthy\"").count() == 4);
    let body = http::get(port.local(), "/").unwrap().body;
    assert!(body.starts_with("hello from target "), "{body}");

    wait_until("it says how to kill", || command_address(&demo.stdout()).is_some());
    let commands = command_address(&demo.stdout()).unwrap();
    let killed = http::request(commands, "POST", "/targets/2/kill").unwrap();
    assert_eq!((killed.status, killed.body.as_str()), (200, "target 2 killed\n"));
    wait_until("it is unhealthy", || targets().matches("\"unhealthy\"").count() == 1);
    wait_until("it is shown", || demo.stdout().contains("(killed) unhealthy"));
    for _ in 0..20 {
        let body = http::get(port.local(), "/").unwrap().body;
        assert!(body.starts_with("hello") && !body.contains("target 2 "), "{body}");
    }
    assert_eq!(http::request(commands, "POST", "/targets/2/revive").unwrap().status, 200);
    wait_until("it is healthy again", || targets().matches("\"healthy\"").count() == 4);

    assert_eq!(http::request(commands, "POST", "/targets/5/kill").unwrap().status, 404);
    assert_eq!(http::get(commands, "/targets/1/kill").unwrap().status, 405);

    // Its terminal is gone.
    demo.signal(Signal::HUP);
    assert_eq!(demo.wait().code(), Some(0));
}

/// A log line is longer than the terminal is wide: it wraps, wherever that is.
fn log_of(shown: &str) -> String {
    shown.replace('\n', "")
}

/// How often the log tells that a target is out of use. With traffic on, its failed connects may tell
/// before its checks do, or both one after the other.
fn losses(shown: &str) -> usize {
    let log = log_of(shown);
    ["is unhealthy: ", "is ejected: "].iter().map(|loss| log.matches(loss).count()).sum()
}

#[test]
fn in_a_small_terminal_there_is_one_table_with_the_log_above_it() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip("there is no script(1) to make a terminal");
    }
    let (port, admin) = (Port::free(), Port::free());
    let (mut keyboard, stdin) = UnixStream::pair().unwrap();
    let binary = BINARY.path();
    let inside =
        format!("stty cols {} rows {}; exec {binary} demo", terminal::COLUMNS, terminal::ROWS);
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--flush", "--return", "--command", &inside, "/dev/null"])
        .env_remove("RUST_LOG")
        .envs([("PORT", port.text()), ("ADMIN_PORT", admin.text())])
        .stdin(OwnedFd::from(stdin));
    let mut demo = Process::spawn(&mut script);
    let screen = |demo: &Process| terminal::screen(&demo.stdout()).join("\n");
    wait_until("four targets are healthy", || screen(&demo).matches("healthy").count() == 4);
    keyboard.write_all(b"t2").unwrap();
    wait_until("traffic is on and the loss is logged above", || {
        let screen = screen(&demo);
        screen.contains("traffic on") && losses(&screen) > 0
    });
    keyboard.write_all(b"2").unwrap();
    wait_until("all is well again", || screen(&demo).matches("  healthy").count() == 4);
    wait_until("that is said", || log_of(&screen(&demo)).contains("target 2 is healthy again"));
    keyboard.write_all(b"d3").unwrap();
    wait_until("it drains", || screen(&demo).matches("  draining").count() == 1);
    keyboard.write_all(b"d3").unwrap();
    wait_until("it drains no more", || screen(&demo).matches("  healthy").count() == 4);
    keyboard.write_all(b"t").unwrap();
    wait_until("traffic is off", || screen(&demo).contains("traffic off"));
    let shown = screen(&demo);
    for once in ["  key  target", "  traffic ", "1-4 kill/revive"] {
        assert_eq!(shown.matches(once).count(), 1, "{once:?} in:\n{shown}");
    }
    let (log, table) = shown.split_once("  key  target").unwrap();
    assert!((1..=2).contains(&losses(log)), "{shown}");
    assert!(table.trim_end().lines().count() == 7, "{shown}");
    keyboard.write_all(b"q").unwrap();
    assert_eq!(demo.wait().code(), Some(0));
}

#[test]
fn what_happens_is_explained_and_its_end_turns_nobody_away() {
    let (port, admin) = (Port::free(), Port::free());
    let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
    let mut demo = Process::spawn(BINARY.command().arg("demo").envs(variables));
    let targets = || http::get(admin.local(), "/targets").map_or(String::new(), |a| a.body);
    wait_until("four targets are healthy", || targets().matches("\"healthy\"").count() == 4);
    wait_until("it says how to command", || command_address(&demo.stdout()).is_some());
    let commands = command_address(&demo.stdout()).unwrap();
    let command_to = |path: &str| {
        let answer = http::request(commands, "POST", path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    };
    let connections = || http::get(admin.local(), "/metrics").map_or(String::new(), |a| a.body);
    let has_clients = |target: &str| {
        let series = format!("node_active_connections{{node=\"{target}\"}}");
        metrics::value(&connections(), &series).is_some_and(|count| count > 0.0)
    };
    let second = targets().split("\"address\":\"").nth(2).unwrap().to_owned();
    let second = second.split('"').next().unwrap();
    command_to("/traffic");
    wait_until("target 2 has clients", || has_clients(second));
    // They have had answers then, too: who has had none does not count as broken.
    let answer = || http::get(port.local(), "/").map_or(String::new(), |answer| answer.body);
    wait_until("target 2 answers", || answer().contains("target 2 "));
    command_to("/targets/2/kill");
    let broken = "broke, since target 2 was killed: what has begun on one target cannot";
    wait_until("what broke is explained", || demo.stderr().contains(broken));
    wait_until("it is out of use", || targets().matches("\"healthy\"").count() == 3);
    command_to("/targets/2/revive");
    let healthy = "demo: target 2 is healthy again, and gets clients";
    wait_until("the recovery is told", || demo.stderr().contains(healthy));
    command_to("/targets/1/drain");
    wait_until("it drains", || targets().matches("\"draining\"").count() == 1);
    wait_until("that is told", || demo.stderr().contains("demo: target 1 drains"));
    command_to("/targets/1/undrain");
    wait_until("it drains no more", || targets().matches("\"healthy\"").count() == 4);

    demo.signal(Signal::INT);
    assert_eq!(demo.wait().code(), Some(0));
    let stdout = demo.stdout();
    let (_, totals) = stdout.split_once("in all: ").unwrap();
    assert!(totals.contains(" requests (target 1: "), "{totals}");
    // Whoever was let in when the target was killed is none of the end's.
    let turned_away: u64 = totals.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let told = demo.stderr().matches("turned away").count() as u64;
    assert!(turned_away == 0 || told > 0, "{totals}\n{}", demo.stderr());
}

#[test]
fn ending_it_with_traffic_on_turns_nobody_away() {
    for signal in [Signal::INT, Signal::TERM] {
        let (port, admin) = (Port::free(), Port::free());
        let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
        let mut demo = Process::spawn(BINARY.command().arg("demo").envs(variables));
        wait_until("it says how to command", || command_address(&demo.stdout()).is_some());
        let commands = command_address(&demo.stdout()).unwrap();
        assert_eq!(http::request(commands, "POST", "/traffic").unwrap().status, 200);
        let served = || {
            let metrics = http::get(admin.local(), "/metrics").map_or(String::new(), |a| a.body);
            let series = "successful_connections_total";
            metrics::value(&metrics, series).unwrap_or_default()
        };
        wait_until("clients come and go", || served() > 30.0);
        demo.signal(signal);
        assert_eq!(demo.wait().code(), Some(0));
        let stdout = demo.stdout();
        let totals = stdout.lines().last().unwrap();
        assert_eq!(totals, "broken connections: 0   turned away: 0");
    }
}

#[test]
fn another_size_of_the_terminal_leaves_no_debris() {
    let (port, admin) = (Port::free(), Port::free());
    let binary = BINARY.path();
    let (client, operator) = (port.number(), admin.number());
    let demo = format!("unset RUST_LOG; PORT={client} ADMIN_PORT={operator} exec '{binary}' demo");
    let Some(terminal) = Tmux::start(&demo, 80, 24) else {
        return skip("there is no tmux to make a terminal");
    };
    let shows = |what: &str| terminal.screen().matches(what).count();
    wait_until("four targets are healthy", || shows("  healthy") == 4);
    terminal.press("t2");
    wait_until("the loss is told", || losses(&terminal.screen()) > 0);
    for (columns, rows) in [(50, 20), (110, 30), (40, 24), (60, 9), (80, 24), (25, 40), (90, 16)] {
        terminal.resize(columns, rows);
        wait_until("there is one table", || {
            let screen = terminal.screen();
            let width = screen.lines().map(|line| line.chars().count()).max();
            let ends = ["key  target", "   1   127.0.0.11:", "   4   127.0.0.14:", "  traffic on"];
            width.is_some_and(|width| width <= columns.into())
                && ends.iter().all(|once| screen.matches(once).count() == 1)
        });
    }
    let screen = terminal.screen();
    let (above, table) = screen.split_once("  key  target").unwrap();
    assert!(!above.contains("healthy  ") && losses(above) > 0, "{screen}");
    assert_eq!(table.trim_end().lines().count(), 7, "{screen}");
    terminal.press("q");
    wait_until("it ends", || !terminal.is_running());
}

#[test]
fn taken_ports_are_replaced_and_named() {
    let (port, admin) = (Port::free(), Port::free());
    let _taken = std::net::TcpListener::bind(port.local()).unwrap();
    let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
    let mut demo = Process::spawn(BINARY.command().arg("demo").envs(variables));
    let said = format!("PORT {} is taken: this time it is ", port.number());
    wait_until("the other port is named", || demo.stdout().contains(&said));
    wait_until("it is ready", || {
        http::get(admin.local(), "/readyz").is_ok_and(|a| a.status == 200)
    });
    demo.signal(Signal::TERM);
    assert_eq!(demo.wait().code(), Some(0));
}
