//! Orders to the admin server, as operators and others give them.
use crate::plane::{Plane, serve, settings, target};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use testkit::backend::HealthServer;
use testkit::skip::skip;
use testkit::wait::wait_for;

use control::discovery::DiscoverySettings::Static;
use exchange::{Target, TargetId};

const TIMEOUT: Duration = Duration::from_secs(5);

fn plane_of(targets: Vec<Target>) -> Plane {
    let count = targets.len();
    let plane = Plane::start(settings(Static(targets), TIMEOUT));
    plane.wait_for_states(&vec!["healthy*"; count].join(" "));
    plane
}

/// Status, head and body of the answer.
fn post(plane: &Plane, path: &str, more: &str) -> (u16, String, String) {
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    split(&plane.request(&request))
}

fn split(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

/// Asserts a status and a JSON object with nothing but an error that contains `part`.
#[track_caller]
fn assert_refused(answer: &(u16, String, String), status: u16, part: &str) {
    let (actual, head, body) = answer;
    assert_eq!(*actual, status, "{head}\n{body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 1, "{body}");
    assert!(json["error"].as_str().unwrap().contains(part), "{body}");
    assert!(body.is_ascii() && !body.trim_end().contains(char::is_control), "{body:?}");
}

#[test]
fn a_target_is_drained_and_undrained_by_its_id() {
    let (one, two) = (serve(200), serve(200));
    let named = |server: &HealthServer, id| Target { id: TargetId::new(id), ..target(server) };
    let plane = plane_of(vec![named(one, "i-1"), named(two, "a/b%é")]);
    let drained = |id: &str| {
        let status = plane.status();
        let target = status.targets().iter().find(|it| it.target().id.as_str() == id).unwrap();
        (!target.is_eligible(), target.reason().map(str::to_owned))
    };
    let by_operator = || Some("drained by operator".to_owned());

    let (status, _, body) = post(&plane, "/targets/i-1/drain", "");
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    // The cores know by the time of the answer.
    assert_eq!(drained("i-1"), (true, by_operator()));
    assert_eq!(answer["generation"], plane.status().generation().number());
    let expected = serde_json::json!([
        {"id": "i-1", "address": one.address.to_string(), "zone": null, "state": "draining",
         "reason": "drained by operator", "checks": "passing", "check_failure": null,
         "active_connections": 0},
    ]);
    assert_eq!(answer["targets"], expected);
    assert!(plane.get("/targets").1.contains("\"reason\":\"drained by operator\""));
    assert_eq!(post(&plane, "/targets/a%2Fb%25%C3%A9/drain", "").0, 200);
    assert_eq!(drained("a/b%é"), (true, by_operator()));
    // It is still checked, and seen to be.
    let draining = format!("load_balancer_node_draining{{node=\"{}\"}}", one.address);
    assert_eq!(plane.metric(&draining), Some(1.0));
    assert_eq!(plane.metric("load_balancer_targets{state=\"draining\"}"), Some(2.0));
    let health = format!("load_balancer_node_health_status{{node=\"{}\"}}", one.address);
    assert_eq!(plane.metric(&health), Some(1.0));
    one.set_status(503);
    let checks = || -> serde_json::Value {
        let answer: serde_json::Value = serde_json::from_str(&plane.get("/targets").1).unwrap();
        let mut targets = answer["targets"].as_array().unwrap().iter();
        let target = targets.find(|target| target["id"] == "i-1").unwrap();
        assert_eq!(target["reason"], "drained by operator");
        serde_json::json!([target["checks"], target["check_failure"]])
    };
    let failing = serde_json::json!(["failing", "GET /ping: status 503"]);
    wait_for("its checks' failure", checks, |checks| *checks == failing);
    assert_eq!(plane.metric(&health), Some(0.0));
    one.set_status(200);
    let passing = serde_json::json!(["passing", null]);
    wait_for("its checks' success", checks, |checks| *checks == passing);

    for (path, id) in
        [("/targets/i-1/undrain", "i-1"), ("/targets/a%2fb%25%c3%a9/undrain", "a/b%é")]
    {
        assert_eq!(post(&plane, path, "").0, 200);
        assert_eq!(drained(id), (false, None));
    }
    assert_eq!(plane.metric(&draining), Some(0.0));
    assert_eq!(plane.metric("load_balancer_targets{state=\"healthy\"}"), Some(2.0));
}

#[test]
fn a_target_with_an_id_is_drained_by_its_address_too() {
    let (one, two) = (serve(200), serve(200));
    let named = Target { id: TargetId::new("i-1"), ..target(one) };
    let plane = plane_of(vec![named, target(two)]);
    for (wish, state) in [("drain", "draining"), ("undrain", "healthy")] {
        let (status, _, body) = post(&plane, &format!("/targets/{}/{wish}", one.address), "");
        assert_eq!(status, 200, "{body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let targets = answer["targets"].as_array().unwrap();
        assert_eq!(targets.len(), 1, "{body}");
        assert_eq!((&targets[0]["id"], &targets[0]["state"]), (&"i-1".into(), &state.into()));
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_as_json_and_changes_nothing() {
    let server = serve(200);
    let plane = plane_of(vec![target(server)]);
    let generation = plane.status().generation();
    let path = format!("/targets/{}/drain", server.address);
    for wish in ["drain", "undrain"] {
        let unknown = post(&plane, &format!("/targets/i-9/{wish}"), "");
        assert_refused(&unknown, 404, "there is no target i-9");
        let long = "x".repeat(5000);
        let unknown = post(&plane, &format!("/targets/{long}/{wish}"), "");
        assert!(unknown.2.len() < 400, "{}", unknown.2);
        for id in ["a%0d%0aSet-Cookie:%20b", "%00", "%1b%5b31m", "%7f"] {
            let answer = post(&plane, &format!("/targets/{id}/{wish}"), "");
            assert_refused(&answer, 400, "control characters");
        }
        for id in ["%", "%zz", "%f", "%ff"] {
            let answer = post(&plane, &format!("/targets/{id}/{wish}"), "");
            assert_refused(&answer, 400, "percent-encoded");
        }
    }
    for path in ["/targets/drain", "/targets/a/b/drain", "/targets/a/stop"] {
        assert_refused(&post(&plane, path, ""), 404, "not found");
    }
    assert_refused(&post(&plane, "/targets//drain", ""), 400, "empty");
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = plane.request(&format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = split(&answer);
        assert_refused(&answer, 405, "method not allowed");
        assert!(answer.1.contains("\r\nallow: POST"), "{}", answer.1);
    }
    assert_refused(&post(&plane, "/targets", ""), 405, "method not allowed");
    assert_refused(&post(&plane, &path, "Origin: http://evil.example\r\n"), 403, "web page");
    assert_eq!(plane.status().generation(), generation);
}

#[test]
fn control_bytes_in_a_request_get_no_further_than_the_parser() {
    let server = serve(200);
    let plane = plane_of(vec![target(server)]);
    for id in ["a\x01b", "a\x1b[31m", "a\r\nX-Forged: b", "a b", "a\0b", "a\x7fb"] {
        let answer = post(&plane, &format!("/targets/{id}/drain"), "");
        assert_eq!(answer.0, 400, "{id:?}: {answer:?}");
        assert!(!answer.1.contains("Forged"), "{answer:?}");
    }
    plane.wait_for_states("healthy*");
}

#[test]
fn a_body_is_read_up_to_a_bound() {
    let server = serve(200);
    let plane = plane_of(vec![target(server)]);
    let path = format!("/targets/{}/drain", server.address);
    let with_body = |length: usize| {
        let head = format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{head}");
        split(&plane.request(&request))
    };
    for length in [1025, 100_000] {
        assert_refused(&with_body(length), 413, "no body");
    }
    // Announced and never sent.
    let huge = post(&plane, &path, "Content-Length: 10000000000\r\n");
    assert_refused(&huge, 413, "no body");
    let mut chunked =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..300 {
        write!(chunked, "10\r\n0123456789abcdef\r\n").unwrap();
    }
    chunked.push_str("0\r\n\r\n");
    assert_refused(&split(&plane.request(&chunked)), 413, "no body");
    plane.wait_for_states("healthy*");
    assert_eq!(with_body(1024).0, 200);
    plane.wait_for_states("draining");
}

#[test]
fn an_order_whose_body_is_broken_is_not_obeyed() {
    let server = serve(200);
    let plane = plane_of(vec![target(server)]);
    let path = format!("/targets/{}/drain", server.address);
    let malformed = post(&plane, &path, "Transfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_refused(&malformed, 400, "malformed");
    // Cut short: the client has sent all that it will.
    let mut stream = TcpStream::connect(plane.admin).unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(!answer.contains(" 200 "), "{answer}");
    assert_eq!(plane.states(), "healthy*");
}

#[test]
fn orders_from_elsewhere_are_refused_wherever_the_admin_server_listens() {
    let Some(own) = own_address() else {
        return skip("no address but loopback");
    };
    let server = serve(200);
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plane = Plane::start_on(listener, settings(Static(vec![target(server)]), TIMEOUT));
    plane.wait_for_states("healthy*");
    let ask = |host: IpAddr, request: &str| {
        let mut stream = TcpStream::connect(SocketAddr::new(host, port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        split(&answer)
    };
    for path in [format!("/targets/{}/drain", server.address), "/targets".to_owned()] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_refused(&ask(own, &request), 403, "loopback");
    }
    assert_eq!(ask(own, "GET /targets HTTP/1.1\r\nHost: a\r\n\r\n").0, 200);
    assert_eq!(plane.states(), "healthy*");
    let request = format!("POST /targets/{}/drain HTTP/1.1\r\nHost: a\r\n\r\n", server.address);
    assert_eq!(ask([127, 0, 0, 1].into(), &request).0, 200);
}

/// An address of this machine that is not loopback. Nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}
