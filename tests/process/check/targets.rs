//! What the `check` subcommand says of targets, black box.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::net::port::Port;
use testkit::process::{Ended, end};

/// What the check says of these `targets`.
fn check(targets: &str, variables: &[(&str, &str)]) -> Ended {
    let (port, admin) = (Port::free(), Port::free());
    let mut command = BINARY.command();
    command
        .arg("check")
        .envs([("HOST", "127.0.0.1"), ("NODE_FILTER", "static"), ("TARGETS", targets)])
        .envs([("PORT", port.text()), ("ADMIN_PORT", admin.text())])
        .envs(variables.iter().copied());
    end(&mut command)
}

/// The table's row that begins with these words.
fn row<'a>(ended: &'a Ended, words: &str) -> &'a str {
    let found = ended.stdout.lines().find(|line| line.starts_with(words));
    found.unwrap_or_else(|| panic!("no {words:?}:\n{}\n{}", ended.stdout, ended.stderr))
}

/// A server that begins each connection with `greeting`.
fn greeter(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // The other side may have enough before the end.
            let _ = stream.write_all(greeting).and_then(|()| stream.read(&mut [0; 1024]));
        }
    });
    address
}

#[test]
fn the_port_that_is_assumed_is_told_and_only_then() {
    let backend = Backend::named("backend");
    let with_port = backend.address.to_string();
    let both = format!("{with_port},127.0.0.9");
    let told = "TARGET_PORT is not set, its default 30080 is assumed";
    let ended = check(&both, &[]);
    assert!(row(&ended, "ok    discovery").contains(told), "{ended:?}");
    let target_port = [("TARGET_PORT", "30080")];
    for (targets, variables) in [(&with_port, &[][..]), (&both, &target_port)] {
        let ended = check(targets, variables);
        assert!(!row(&ended, "ok    discovery").contains("TARGET_PORT"), "{ended:?}");
    }
}

#[test]
fn what_is_asked_is_told_with_the_host() {
    // Of one address, with ports of their own.
    let [one, two] =
        ["one", "two"].map(|name| Backend::named_on((Ipv4Addr::LOCALHOST, 0).into(), name));
    let (one, two) = (one.address, two.address);
    let ended = check(&one.to_string(), &[("HEALTH_CHECK_PATH", "/up?a")]);
    let asked = format!("1 of 1 passed the health check (GET /up?a, Host: {one})");
    assert!(row(&ended, "ok    targets").ends_with(&asked), "{ended:?}");
    let port = two.port().to_string();
    let ended = check(&format!("{one},{two}"), &[("HEALTH_CHECK_PORT", &port)]);
    let asked = format!("(GET /ping, Host: each one's address, as {two})");
    assert!(row(&ended, "ok    targets").ends_with(&asked), "{ended:?}");
}

#[test]
fn a_target_that_speaks_something_else_is_told_so() {
    for (greeting, told) in [
        (&b"-ERR unknown command\r\n"[..], "not HTTP: begins with '-ERR'"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "not HTTP: it speaks SSH"),
        (b"\x15\x03\x01\0\x02\x02\x46", "not HTTP: it speaks TLS"),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", "not HTTP/1.1: it speaks HTTP/2"),
    ] {
        let target = greeter(greeting);
        let ended = check(&target.to_string(), &[]);
        let row = row(&ended, &format!("FAIL  target {target}"));
        assert!(row.contains(&format!("GET /ping: {told}")), "{row}");
    }
}

#[test]
fn minutes_that_may_be_meant_as_seconds_are_a_warning() {
    let backend = Backend::named("backend");
    let ended = check(&backend.address.to_string(), &[("CIRCUIT_BREAKER_TIMEOUT", "30")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let row = row(&ended, "warn  variable CIRCUIT_BREAKER_TIMEOUT");
    assert!(row.ends_with("for seconds, set CIRCUIT_BREAKER_TIMEOUT=30s"), "{row}");
}
