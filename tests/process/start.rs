//! The process, black box: start-up checks, log lines, signals.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::BINARY;
use rustix::process::Signal;
use testkit::backend::Backend;
use testkit::http;
use testkit::net::address::{ports, unique};
use testkit::net::port::Port;
use testkit::process::{Ended, Process, end};
use testkit::scratch::Scratch;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// Enough to start with, on one core.
const ANY_TARGET: [(&str, &str); 3] =
    [("NODE_FILTER", "static"), ("TARGETS", "127.0.0.9:9"), ("CORES", "1")];

const SHUTDOWN: &[(&str, &str)] = &[("SHUTDOWN_TIMEOUT", "60s"), ("SHUTDOWN_DELAY", "60s")];

#[test]
fn hangup_reads_the_target_file_at_once() {
    let backends = [Backend::start(), Backend::start()];
    let scratch = Scratch::new();
    let path = scratch.path("targets.json");
    let write = |backend: &Backend| {
        let list = format!(r#"[{{"targets": ["{}"]}}]"#, backend.address);
        scratch.replace("targets.json", &list);
    };
    write(&backends[0]);
    // Not soon enough to be seen by itself.
    let file = [
        ("NODE_FILTER", "file"),
        ("TARGETS_FILE", path.to_str().unwrap()),
        ("NODE_CHECK_PERIOD", ""),
    ];
    let balancer = BINARY.start(&[], &file);
    write(&backends[1]);
    balancer.process.signal(Signal::HUP);
    balancer.wait_for_log("SIGHUP: the target file is read now");
    balancer.wait_for_log("targets.json is good: 1 target");
    wait_until("the other backend answers", || {
        balancer.get("/") == backends[1].address.to_string()
    });
    scratch.replace("targets.json", "[{");
    balancer.wait_for_log("targets.json is not valid: line 1");
    balancer.process.signal(Signal::HUP);
    balancer.wait_for_log("targets.json still is not valid: line 1");
}

#[test]
fn what_is_set_in_vain_is_told_at_start() {
    let backend = Backend::start();
    let variables = [("TARGETS_FILE", "/nonexistent")];
    let balancer = BINARY.start(&[backend.address], &variables);
    balancer.wait_for_log("TARGETS_FILE is set, but NODE_FILTER=static does not read it");
}

#[test]
fn what_is_misspelt_is_told_at_start() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("MAX_CONECTIONS", "3")]);
    balancer.wait_for_log(
        "MAX_CONECTIONS is not a variable of the balancer: did you mean MAX_CONNECTIONS?",
    );
}

#[test]
fn a_second_start_on_the_same_admin_port_says_who_may_hold_it() {
    let backend = Backend::start();
    let first = BINARY.start(&[backend.address], &[]);
    let admin = first.admin.port().to_string();
    let host = first.admin.ip().to_string();
    let mut second = BINARY.command();
    let ended = end(second.envs(ANY_TARGET).env("ADMIN_HOST", host).env("ADMIN_PORT", admin));
    // It is free again when that one ends.
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    assert!(ended.stderr.contains("a running instance of this balancer"), "{}", ended.stderr);
}

#[test]
fn signals_without_a_meaning_are_logged_and_change_nothing() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[]);
    for (signal, line) in [
        (Signal::HUP, "SIGHUP: there is nothing to reload"),
        (Signal::USR1, "SIGUSR1 has no meaning"),
        (Signal::USR2, "SIGUSR2 has no meaning"),
    ] {
        balancer.process.signal(signal);
        balancer.wait_for_log(line);
    }
    assert_eq!(balancer.get("/"), backend.address.to_string());
    balancer.process.signal(Signal::TERM);
    assert_eq!(balancer.process.wait().code(), Some(0));
}

/// Runs the binary until it ends, under a limit as ulimit of sh(1) takes it.
fn under_limit(limit: &str) -> Ended {
    end(BINARY.shell(&format!("ulimit {limit}; exec \"$0\"")).envs(ANY_TARGET))
}

#[test]
fn limits_that_are_too_low_end_the_start_with_a_remedy() {
    for (limit, cause, remedy) in [
        ("-n 50", "RLIMIT_NOFILE) is 50", "LimitNOFILE="),
        ("-l 64", "RLIMIT_MEMLOCK) is 65536", "LimitMEMLOCK="),
    ] {
        let started = Instant::now();
        let ended = under_limit(limit);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
        assert!(ended.stderr.contains(cause), "{}", ended.stderr);
        assert!(ended.stderr.contains(remedy), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

#[test]
fn every_core_needs_its_locked_memory() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        return skip("there is no setpriv to give up CAP_IPC_LOCK");
    }
    let start = |limit_kib: u32| {
        let mut command = BINARY.shell(&format!(
            "ulimit -l {limit_kib}; exec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock \"$0\""
        ));
        command.envs(ANY_TARGET);
        command
    };
    let ended = end(&mut start(639));
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("at least 655360"), "{}", ended.stderr);
    assert!(ended.stderr.contains("per user"), "{}", ended.stderr);
    // Root's own memory is never counted, and others' tests may share this user: what counts is
    // that the check does not refuse it.
    let mut enough = Process::spawn(&mut start(640));
    wait_until("it starts or finds the memory used up", || {
        enough.stderr().contains("accepting clients") || enough.has_ended()
    });
    assert!(!enough.stderr().contains("at least 655360"), "{}", enough.stderr());
}

#[test]
fn json_log_lines_are_json() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[("LOG_FORMAT", "json")]);
    balancer.process.signal(Signal::TERM);
    assert_eq!(balancer.process.wait().code(), Some(0));
    let log = balancer.process.stderr();
    assert!(log.lines().count() >= 5, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        for key in ["ts", "level", "module", "msg"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
}

#[test]
fn modules_that_are_not_named_still_warn_unless_they_are_turned_off() {
    let backend = Backend::start();
    let log_of = |filter: &str| {
        let variables = [("RUST_LOG", filter), ("TARGETS_FILE", "/x")];
        let mut balancer = BINARY.start(&[backend.address], &variables);
        balancer.process.signal(Signal::TERM);
        balancer.process.wait();
        balancer.process.stderr()
    };
    let warning = "TARGETS_FILE is set, but";
    let named = log_of("control=debug");
    assert!(named.contains(warning) && !named.contains("accepting clients"), "{named}");
    assert!(named.contains(" control"), "{named}");
    assert!(!log_of("off,control=debug").contains(warning));
    assert_eq!(log_of("off"), "");
}

#[test]
fn a_start_that_fails_says_so_in_json_too() {
    let bad = [("PORT", "x\ny"), ("HOST", "h"), ("RUST_LOG", "off"), ("NODE_FILTER", "static")];
    let json = BINARY.run_to_end([&bad[..], &[("LOG_FORMAT", "json")]].concat());
    assert_eq!(json.code, Some(78));
    let lines: Vec<serde_json::Value> =
        json.stderr.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["level"] == "ERROR" && line["ts"].is_string()));
    let messages: Vec<_> = lines.iter().filter_map(|line| line["msg"].as_str()).collect();
    assert!(messages[0].ends_with("(3 variables):"), "{messages:?}");
    assert!(messages.iter().any(|it| it.starts_with("PORT=\"x\\ny\" is ")), "{messages:?}");

    // What cannot be read cannot be followed.
    let text = BINARY.run_to_end([&bad[..], &[("LOG_FORMAT", "JSON")]].concat());
    assert!(text.line("LOG_FORMAT=\"JSON\"").contains("accepted: text, json"), "{}", text.stderr);
}

#[test]
fn a_log_reader_that_goes_away_changes_nothing() {
    let backend = Backend::named("backend");
    let (port, admin) = (Port::free(), Port::free());
    let mut child = BINARY
        .command()
        .envs([("NODE_FILTER", "static".to_owned()), ("TARGETS", backend.address.to_string())])
        .envs([("PORT", port.text()), ("ADMIN_PORT", admin.text())])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    wait_until("it serves without a log", || {
        http::get(port.local(), "/").is_ok_and(|answer| answer.body == "backend")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_second_process_on_a_port_ends_unless_it_is_to_overlap() {
    let backend = Backend::start();
    let mut first = BINARY.start(&[backend.address], &[]);
    let (address, port) = (first.address, first.address.port());
    let admin = SocketAddr::new(unique(), ports().admin);
    let mut second = first.spawn_beside(admin, &[backend.address], &[]);
    assert_eq!(second.process.wait().code(), Some(75));
    let told = format!(
        "PORT=\"{port}\" is in use: process {} (stateless-load-balancer) listens on {address}, and \
         clients would go to either; accepted: a free port, or OVERLAP=true to take over from it",
        first.process.id()
    );
    assert!(second.process.stderr().contains(&told), "{}", second.process.stderr());
    assert!(!second.process.stderr().contains("starts, process"), "nothing was begun");
    for _ in 0..20 {
        assert_eq!(first.get("/"), backend.address.to_string());
    }
    let second = first.start_beside(admin, &[backend.address]);
    second.wait_for_log("accepting clients on");
    first.process.signal(Signal::TERM);
    assert_eq!(first.process.wait().code(), Some(0));
    assert_eq!(second.get("/"), backend.address.to_string());
}

#[test]
fn who_was_killed_keeps_no_port_from_the_next() {
    let backend = Backend::start();
    let mut old = BINARY.start(&[backend.address], &[]);
    for _ in 0..10 {
        // The client keeps its connection in use, and the kernel busy.
        let _client = old.connect();
        old.process.signal(Signal::KILL);
        let admin = SocketAddr::new(unique(), ports().admin);
        let next = old.spawn_beside(admin, &[backend.address], &[]);
        next.wait_until_ready();
        old.process.wait();
        old = next;
    }
}

#[test]
fn the_first_signal_ends_it_gracefully() {
    let backend = Backend::start();
    for signal in [Signal::TERM, Signal::INT] {
        let mut balancer = BINARY.start(&[backend.address], &[]);
        // A request in flight: the backend answers only once it has something to read.
        let mut client = balancer.client();
        wait_until("the client has its target", || {
            let targets = balancer.admin_get("/targets").unwrap().body;
            targets.contains("\"active_connections\":1")
        });
        balancer.process.signal(signal);
        wait_until("nobody else is accepted", || TcpStream::connect(balancer.address).is_err());
        assert_eq!(client.get("/").unwrap().body, backend.address.to_string());
        drop(client);
        assert_eq!(balancer.process.wait().code(), Some(0));
    }
}

#[test]
fn during_the_shutdown_delay_clients_are_served_though_it_is_not_ready() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], SHUTDOWN);
    balancer.process.signal(Signal::TERM);
    wait_until("/readyz says 503", || {
        balancer.admin_get("/readyz").is_some_and(|a| a.status == 503)
    });
    assert_eq!(balancer.get("/"), backend.address.to_string());
    // At once it would be taken for the same one: only then may it fall on deaf ears.
    wait_until("the second SIGTERM ends it", || {
        if !balancer.process.has_ended() {
            balancer.process.signal(Signal::TERM);
        }
        balancer.process.has_ended()
    });
    assert_eq!(balancer.process.wait().code(), Some(143));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let backend = Backend::start();
    let mut balancer = BINARY.start(&[backend.address], &[("SHUTDOWN_TIMEOUT", "60s")]);
    let _client = TcpStream::connect(balancer.address).unwrap();
    wait_until("the client has its target", || {
        balancer.admin_get("/targets").unwrap().body.contains("\"active_connections\":1")
    });
    balancer.process.signal(Signal::TERM);
    balancer.wait_for_log("any more; 1 open connections may go on for 60s (SHUTDOWN_TIMEOUT)");
    balancer.process.signal(Signal::INT);
    assert_eq!(balancer.process.wait().code(), Some(130));
}
