//! The admin server as clients see it, well-behaved and hostile.

mod harness;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use control::discovery::Settings::Static;
use harness::{Plane, Server, settings, wait_for};

const TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn readiness_needs_accepting_and_an_eligible_target() {
    let server = Server::start(0);
    let plane = Plane::start(settings(Static(vec![server.target()]), TIMEOUT));
    assert_eq!(plane.get("/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(
        plane.get("/readyz"),
        (503, "starting or ending: send no new clients here\n".to_owned())
    );
    plane.control.set_accepting(true);
    assert_eq!(
        plane.get("/readyz"),
        (503, "clients wait until targets are known and checked\n".to_owned())
    );
    let plane = Plane::start(settings(Static(Vec::new()), TIMEOUT));
    plane.control.set_accepting(true);
    let none = (503, "no target is eligible\n".to_owned());
    wait_for(|| plane.get("/readyz"), |answer| *answer == none, "an empty answer");

    let server = Server::start(200);
    let plane = Plane::start(settings(Static(vec![server.target()]), TIMEOUT));
    plane.wait_for_states("healthy*");
    assert_eq!(plane.get("/readyz").0, 503);
    plane.control.set_accepting(true);
    assert_eq!(plane.get("/readyz"), (200, "ready\n".to_owned()));
    plane.control.set_accepting(false);
    assert_eq!(plane.get("/readyz").0, 503);
}

#[test]
fn targets_are_listed_as_json() {
    let listener = std::net::TcpListener::bind("[::1]:0").unwrap();
    let six = Server::start_on(listener, 200);
    let four = Server::start(200);
    let targets = vec![six.target(), four.target().in_zone("eu-west-1a")];
    let plane = Plane::start(settings(Static(targets), TIMEOUT));
    plane.wait_for_states("healthy* healthy*");
    plane.snapshot().entries[1].counters.on(0).active.add(7);
    let (status, body) = plane.get("/targets");
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "generation": plane.snapshot().generation.0,
        "targets": [
            {"id": four.address.to_string(), "address": four.address.to_string(),
             "zone": "eu-west-1a", "state": "healthy", "reason": null,
             "checks": "passing", "check_failure": null,
             "active_connections": 0},
            {"id": six.address.to_string(), "address": format!("[::1]:{}", six.address.port()),
             "zone": null, "state": "healthy", "reason": null,
             "checks": "passing", "check_failure": null,
             "active_connections": 7},
        ],
        "drained_absent": [],
    });
    assert_eq!(answer, expected);
}

#[test]
fn the_paths_are_listed_and_every_answer_ends_its_line() {
    let plane = Plane::start(settings(Static(vec![Server::start(200).target()]), TIMEOUT));
    let (status, paths) = plane.get("/");
    assert_eq!(status, 200);
    let (orders, paths): (Vec<_>, Vec<_>) = paths.lines().partition(|it| it.starts_with("POST "));
    assert_eq!(orders, ["POST /targets/{id}/drain", "POST /targets/{id}/undrain"]);
    for path in paths.iter().copied().chain(["/nothing"]) {
        let (status, body) = plane.get(path);
        assert_eq!(status == 404, path == "/nothing", "{path}");
        assert!(body.ends_with('\n'), "{path}: {body}");
    }
    assert_eq!(paths.len(), 4);
}

#[test]
fn metrics_are_in_the_text_format() {
    let plane = Plane::start(settings(Static(vec![Server::start(200).target()]), TIMEOUT));
    plane.counters[0].failed_connections.add(2);
    let answer = plane.request("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("# TYPE load_balancer_failed_connections_total counter\n"));
    assert!(answer.contains("\nload_balancer_failed_connections_total 2\n"));
}

#[test]
fn other_requests_are_refused_as_json() {
    let plane = Plane::start(settings(Static(vec![Server::start(200).target()]), TIMEOUT));
    assert_eq!(plane.get("/x"), (404, "{\"error\":\"not found\"}\n".to_owned()));
    let answer = plane.request("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("\r\nallow: GET,HEAD"), "{answer}");
    assert!(answer.ends_with("{\"error\":\"method not allowed\"}\n"), "{answer}");
    let answer = plane.request("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = plane.request("garbage\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn silent_and_slow_clients_are_closed_and_lock_nobody_out() {
    let plane = Plane::start(settings(Static(vec![Server::start(200).target()]), TIMEOUT));
    // More than there may be at once; some say nothing, some say it slowly.
    let mut hostile: Vec<_> = (0..40).map(|_| TcpStream::connect(plane.admin).unwrap()).collect();
    for stream in hostile.iter_mut().step_by(2) {
        stream.write_all(b"GET /healthz HTT").unwrap();
    }
    assert_eq!(plane.get("/healthz").0, 200);
    let mut rest = Vec::new();
    hostile[0].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let end = wait_for(
        || hostile[0].read_to_end(&mut rest),
        |end| end.as_ref().map_or_else(|e| e.kind() != std::io::ErrorKind::WouldBlock, |_| true),
        "the end of a slow client's connection",
    );
    drop(end);
}
