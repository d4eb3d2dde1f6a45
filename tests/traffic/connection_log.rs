use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::stream::reset;
use crate::harness::wait_until;

#[test]
fn each_connections_end_is_logged_if_wanted() {
    let backend = Backend::start();
    let balancer = Balancer::start(&[backend.address], &[("LOG_CONNECTIONS", "true")]);
    let mut client = balancer.client();
    let (_, body) = client.get("/").unwrap();
    let name = format!("client={} target={} ", client.0.local_addr().unwrap(), backend.address);
    assert!(balancer.log_lines(&name).is_empty(), "logged before its end");
    drop(client);
    balancer.wait_for_log(&name);
    let line = balancer.log_lines(&name).remove(0);
    let answer = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len()).len();
    let counts = format!("bytes_from_client=30 bytes_from_target={}", answer + body.len());
    for part in ["end=complete", "duration_ms=", &counts, "dials=1"] {
        assert!(line.contains(part), "{part} is not in {line}");
    }

    let mut client = balancer.client();
    client.get("/").unwrap();
    reset(client.0);
    wait_until("the reset is logged", || balancer.log_lines("end=client_reset").len() == 1);
    assert_eq!(balancer.log_lines("client=").len(), 2);
}

#[test]
fn no_connection_is_logged_by_default() {
    let backend = Backend::start();
    let balancer = Balancer::start(&[backend.address], &[]);
    balancer.get("/");
    balancer.wait_for_count("active_connections", 0);
    assert!(balancer.log_lines("client=").is_empty());
}
