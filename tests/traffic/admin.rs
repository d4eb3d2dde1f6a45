//! What the admin server makes of requests that make no sense. `control/tests` has more of them.

use std::io::Write;

use serde_json::Value;

use crate::BINARY;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::net::stream;

/// The answer's status and body.
fn ask(balancer: &Balancer, first_line: &str, more: &str) -> (u16, String) {
    let mut admin = stream::connect(balancer.admin).unwrap();
    let request = format!("{first_line} HTTP/1.1\r\nHost: test\r\n{more}");
    admin.write_all(request.as_bytes()).unwrap();
    let answer = String::from_utf8(stream::read_to_end(&admin).unwrap()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!head.contains("Forged"), "{head}");
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[test]
fn bad_requests_are_refused_as_json_and_leave_no_control_bytes_in_the_log() {
    let backend = Backend::start();
    let balancer = BINARY.start(&[backend.address], &[("RUST_LOG", "trace")]);
    balancer.wait_for_state(backend.address, "healthy");
    let before = balancer.target(backend.address);
    let body = |length: usize| format!("Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let drain = format!("POST /targets/{}/drain", backend.address);
    for (first_line, more, status) in [
        ("POST /targets/i-9/drain", "\r\n", 404),
        ("POST /targets/i-9/undrain", "\r\n", 404),
        ("GET /%0d%0aForged:%20a%1b[31m", "\r\n", 404),
        ("POST /targets/%0d%0aForged:%20a%1b[31m/drain", "\r\n", 400),
        ("DELETE /targets", "\r\n", 405),
        ("POST /metrics", "\r\n", 405),
        (&*format!("GET /targets/{}/drain", backend.address), "\r\n", 405),
        (&*drain, &*body(2_000), 413),
        // Answered without a reset, although nobody reads all of it.
        (&*drain, &*body(500_000), 413),
        ("POST /targets", &*body(500_000), 405),
        ("POST /nothing", &*body(500_000), 404),
    ] {
        let (actual, body) = ask(&balancer, first_line, more);
        assert_eq!(actual, status, "{first_line}: {body}");
        let error: Value = serde_json::from_str(&body).unwrap();
        assert!(error["error"].is_string(), "{first_line}: {body}");
        assert!(!body.trim_end().contains(char::is_control), "{first_line}: {body:?}");
    }
    // No further than the parser, which knows of no JSON.
    for path in ["/targets/\x1b[31m/drain", "/\x01", "/a b", "/\r\nForged: a"] {
        let (status, _) = ask(&balancer, &format!("POST {path}"), "\r\n");
        assert_eq!(status, 400, "{path:?}");
    }
    assert_eq!(balancer.target(backend.address), before);
    let log = balancer.log_lines("");
    assert!(!log.iter().any(|line| line.contains(char::is_control)), "{log:?}");
}
