//! The admin server as clients see it, well-behaved and hostile.
use crate::plane::{Plane, serve, serve_at, settings, target};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use testkit::wait::wait_for;

use control::discovery::DiscoverySettings::Static;
use exchange::ServiceIndex;

const TIMEOUT: Duration = Duration::from_secs(5);

#[test]
fn readiness_needs_accepting_and_an_eligible_target() {
    let server = serve(0);
    let plane = Plane::start(settings(Static(vec![target(server)]), TIMEOUT));
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
    wait_for("an empty answer", || plane.get("/readyz"), |answer| *answer == none);

    let server = serve(200);
    let plane = Plane::start(settings(Static(vec![target(server)]), TIMEOUT));
    plane.wait_for_states("healthy*");
    assert_eq!(plane.get("/readyz").0, 503);
    plane.control.set_accepting(true);
    assert_eq!(plane.get("/readyz"), (200, "ready\n".to_owned()));
    server.set_status(503);
    plane.wait_for_states("unhealthy*");
    let fail_open = "ready (fail-open: 0 of 1 targets healthy)\n";
    assert_eq!(plane.get("/readyz"), (200, fail_open.to_owned()));
    plane.control.set_accepting(false);
    assert_eq!(plane.get("/readyz").0, 503);
}

#[test]
fn targets_are_listed_as_json() {
    let six = serve_at("[::1]:0".parse().unwrap(), 200);
    let four = serve(200);
    let targets = vec![target(six), target(four).in_zone("eu-west-1a")];
    let plane = Plane::start(settings(Static(targets), TIMEOUT));
    plane.wait_for_states("healthy* healthy*");
    plane.snapshot().entries()[1].counters().on(0).active.add(7);
    let (status, body) = plane.get("/targets");
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({
        "generation": plane.status().generation().number(),
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
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
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
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
    plane.counters[0].of(ServiceIndex::FIRST).connections.failed.add(2);
    let answer = plane.request("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("# TYPE load_balancer_failed_connections_total counter\n"));
    assert!(answer.contains("\nload_balancer_failed_connections_total 2\n"));
}

#[test]
fn other_requests_are_refused_as_json() {
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
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

/// Sends `request`, ends the stream at once and reads what comes.
fn ask_and_half_close(admin: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_ends_its_stream_after_asking_is_answered_and_obeyed() {
    let server = serve(200);
    let plane = Plane::start(settings(Static(vec![target(server)]), TIMEOUT));
    plane.wait_for_states("healthy*");
    for number in 0..200 {
        let answer = ask_and_half_close(plane.admin, "GET /healthz");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{number}: {answer}");
        let (wish, state) = [("drain", "draining"), ("undrain", "healthy")][number % 2];
        let order = format!("POST /targets/{}/{wish}", server.address);
        let answer = ask_and_half_close(plane.admin, &order);
        assert!(answer.contains(&format!("\"state\":\"{state}\"")), "{number}: {answer}");
    }
}

#[test]
fn clients_that_say_nothing_make_room_for_those_that_ask() {
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
    let mut silent = Vec::new();
    let mut longest = Duration::ZERO;
    for number in 0..200 {
        silent.push(TcpStream::connect(plane.admin).unwrap());
        if number % 10 == 0 {
            let asked = Instant::now();
            assert_eq!(plane.get("/healthz").0, 200);
            longest = longest.max(asked.elapsed());
        }
    }
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    // The oldest ones have made room, the latest ones have not.
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
    let last = silent.last_mut().unwrap();
    last.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn the_head_of_a_request_has_two_seconds() {
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
    for start in ["", "GET /healthz HTT"] {
        let started = Instant::now();
        let mut slow = TcpStream::connect(plane.admin).unwrap();
        slow.set_read_timeout(Some(TIMEOUT)).unwrap();
        slow.write_all(start.as_bytes()).unwrap();
        assert_eq!(slow.read(&mut [0]).unwrap(), 0, "{start:?}");
        let took = started.elapsed();
        assert!((1900..4500).contains(&took.as_millis()), "{start:?}: {took:?}");
    }
}

#[test]
fn silent_and_slow_clients_are_closed_and_lock_nobody_out() {
    let plane = Plane::start(settings(Static(vec![target(serve(200))]), TIMEOUT));
    // More than there may be at once; some say nothing, some say it slowly.
    let mut hostile: Vec<_> = (0..40).map(|_| TcpStream::connect(plane.admin).unwrap()).collect();
    for stream in hostile.iter_mut().step_by(2) {
        stream.write_all(b"GET /healthz HTT").unwrap();
    }
    assert_eq!(plane.get("/healthz").0, 200);
    let mut rest = Vec::new();
    hostile[0].set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let end = wait_for(
        "the end of a slow client's connection",
        || hostile[0].read_to_end(&mut rest),
        |end| end.as_ref().map_or_else(|e| e.kind() != std::io::ErrorKind::WouldBlock, |_| true),
    );
    drop(end);
}

#[test]
fn another_reason_changes_what_is_told_and_not_what_the_cores_go_by() {
    let server = serve(500);
    let plane = Plane::start(settings(Static(vec![target(server)]), TIMEOUT));
    let told = || {
        let targets: serde_json::Value = serde_json::from_str(&plane.get("/targets").1).unwrap();
        let target = &targets["targets"][0];
        [&target["reason"], &target["check_failure"]].map(|why| why.as_str().map(str::to_owned))
    };
    let both = |why: &str| [Some(why.to_owned()), Some(why.to_owned())];
    wait_for("the first reason", told, |it| *it == both("GET /ping: status 500"));
    let (before, status) = (plane.snapshot().generation(), plane.status().generation());
    server.set_status(503);
    wait_for("another reason", told, |it| *it == both("GET /ping: status 503"));
    assert_eq!(plane.snapshot().generation(), before);
    assert!(plane.status().generation() > status, "/targets counts every change");
    plane.wait_for_states("unhealthy*");
}
