//! The demo, black box, without a terminal and in one.

mod support;

use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use rustix::process::Signal;
use support::balancer::{Process, command};
use support::port::Port;
use support::{http, skip, terminal, wait_until};

/// The address in the line that says how to kill a target.
fn command_address(stdout: &str) -> Option<SocketAddr> {
    let (_, rest) = stdout.split_once("curl -X POST http://")?;
    rest.split('/').next()?.parse().ok()
}

#[test]
fn it_serves_and_targets_can_be_killed_and_revived_and_it_ends_cleanly() {
    let (port, admin) = (Port::free(), Port::free());
    let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
    let mut demo = Process::spawn(command().arg("demo").envs(variables));
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

/// How often the log tells that a target is out of use. With traffic on, its failed dials may tell
/// before its checks do, or both one after the other.
fn losses(shown: &str) -> usize {
    // A log line is longer than the terminal is wide: it wraps, wherever that is.
    let log = shown.replace('\n', "");
    ["is unhealthy: ", "is ejected: "].iter().map(|loss| log.matches(loss).count()).sum()
}

#[test]
fn in_a_small_terminal_there_is_one_table_with_the_log_above_it() {
    if Command::new("script").arg("--version").output().is_err() {
        return skip("there is no script(1) to make a terminal");
    }
    let (port, admin) = (Port::free(), Port::free());
    let (mut keyboard, stdin) = UnixStream::pair().unwrap();
    let binary = env!("CARGO_BIN_EXE_stateless-load-balancer");
    let inside =
        format!("stty cols {} rows {}; exec {binary} demo", terminal::COLUMNS, terminal::ROWS);
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--flush", "--return", "--command", &inside, "/dev/null"])
        .env_remove("RUST_LOG")
        .envs([("PORT", port.text()), ("ADMIN_PORT", admin.text())])
        .stdin(OwnedFd::from(stdin));
    let mut demo = Process::spawn(&mut command);
    let screen = |demo: &Process| terminal::screen(&demo.stdout()).join("\n");
    wait_until("four targets are healthy", || screen(&demo).matches("healthy").count() == 4);
    keyboard.write_all(b"t2").unwrap();
    wait_until("traffic is on and the loss is logged above", || {
        let screen = screen(&demo);
        screen.contains("traffic on") && losses(&screen) > 0
    });
    keyboard.write_all(b"2").unwrap();
    wait_until("all is well again", || screen(&demo).matches("  healthy").count() == 4);
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
fn taken_ports_are_replaced_and_named() {
    let (port, admin) = (Port::free(), Port::free());
    let _taken = std::net::TcpListener::bind(port.local()).unwrap();
    let variables = [("PORT", port.text()), ("ADMIN_PORT", admin.text())];
    let mut demo = Process::spawn(command().arg("demo").envs(variables));
    let said = format!("PORT {} is taken: this time it is ", port.number());
    wait_until("the other port is named", || demo.stdout().contains(&said));
    wait_until("it is ready", || {
        http::get(admin.local(), "/readyz").is_ok_and(|a| a.status == 200)
    });
    demo.signal(Signal::TERM);
    assert_eq!(demo.wait().code(), Some(0));
}
