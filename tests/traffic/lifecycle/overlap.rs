//! A process that starts beside another on the same port.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use crate::BINARY;
use crate::eligibility::target_file::{NAME, variables, write};
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::http;
use testkit::net::address::{ports, unique};
use testkit::scratch::Scratch;
use testkit::wait::wait_until;

const OVERLAP: (&str, &str) = ("OVERLAP", "true");

fn other_admin() -> SocketAddr {
    SocketAddr::new(unique(), ports().admin)
}

/// 200 clients, all of whom this backend serves.
#[track_caller]
fn expect_all_served_by(backend: &Backend, balancer: &Balancer) {
    for _ in 0..200 {
        assert_eq!(balancer.get("/"), backend.address.to_string());
    }
}

/// It may get clients, and does.
fn expect_served_too(second: &Balancer) {
    second.wait_until_ready();
    second.wait_for_log("accepting clients on");
    wait_until("it gets some", || {
        assert_eq!(http::get(second.address, "/").unwrap().status, 200);
        second.count("successful_connections_total") > 0
    });
}

#[test]
fn one_whose_targets_are_not_checked_yet_leaves_clients_to_the_other() {
    let backends = [Backend::start(), Backend::start()];
    backends[1].set_health(0);
    let first = BINARY.start(&[backends[0].address], &[]);
    let environment = [OVERLAP, ("HEALTH_CHECK_TIMEOUT", "1m")];
    let second = first.spawn_beside(other_admin(), &[backends[1].address], &environment);
    second.wait_for_log("are left to others until there is a target (OVERLAP)");
    let holder = format!("process {} (stateless-load-balancer) listens on", first.pid());
    assert_eq!(second.log_lines(&holder).len(), 1);
    wait_until("it is being checked", || backends[1].checks() > 0);
    expect_all_served_by(&backends[0], &first);
    assert_eq!(second.readiness(), Some(503));
    assert!(second.log_lines("accepting clients on").is_empty());
    backends[1].set_health(200);
    expect_served_too(&second);
}

#[test]
fn alone_it_listens_once_a_target_may_get_clients_and_then_for_good() {
    let (backend, scratch) = (Backend::start(), Scratch::new());
    backend.set_health(0);
    write(&scratch, &[backend.address]);
    let path = scratch.path(NAME);
    let environment = [&variables(&path)[..], &[OVERLAP, ("HEALTH_CHECK_TIMEOUT", "1m")]].concat();
    let balancer = BINARY.spawn(&[], &environment);
    wait_until("it is being checked", || backend.checks() > 0);
    let error = TcpStream::connect(balancer.address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    backend.set_health(200);
    balancer.wait_until_ready();
    assert_eq!(balancer.get("/"), backend.address.to_string());
    scratch.replace(NAME, "[]");
    balancer.wait_for_log("no targets are left");
    let error = http::get(balancer.address, "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "turned away, but not refused");
}

#[test]
fn it_ends_although_it_never_had_a_target() {
    let backend = Backend::start();
    backend.set_health(0);
    let environment = [OVERLAP, ("HEALTH_CHECK_TIMEOUT", "1m"), ("SHUTDOWN_TIMEOUT", "1m")];
    let mut balancer = BINARY.spawn(&[backend.address], &environment);
    wait_until("it is being checked", || backend.checks() > 0);
    balancer.signal(rustix::process::Signal::TERM);
    assert_eq!(balancer.wait_for_end().0, Some(0));
}

#[cfg(feature = "aws")]
mod aws {
    use super::*;
    use testkit::aws::api::{Aws, Behaviour};

    const DENIED: &str = "<Response><Errors><Error><Code>UnauthorizedOperation</Code>\
                          <Message>no</Message></Error></Errors></Response>";

    #[test]
    fn one_that_finds_no_target_leaves_clients_to_the_other() {
        let backend = Backend::start();
        let first = BINARY.start(&[backend.address], &[]);
        let denied = || Behaviour::Fixed { action: None, status: 403, body: DENIED.to_owned() };
        for behaviour in [Behaviour::Hanging, denied(), Behaviour::Empty] {
            let aws = Aws::start();
            aws.behave(behaviour);
            let ip = backend.address.ip().to_string();
            aws.set_instances(&[("i-1", &ip)]);
            let port = ports().target.to_string();
            let variables = aws.variables();
            let mut environment: Vec<_> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            environment.extend([OVERLAP, ("TARGET_PORT", &port), ("TARGETS", "")]);
            let second = first.spawn_beside(other_admin(), &[], &environment);
            wait_until("it has asked", || aws.calls("DescribeAutoScalingGroups") >= 3);
            expect_all_served_by(&backend, &first);
            assert_eq!(second.readiness(), Some(503));
            aws.behave(Behaviour::Good);
            expect_served_too(&second);
        }
    }
}
