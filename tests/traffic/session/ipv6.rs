use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::net::address::ports;
use testkit::skip::skip;

const LOOPBACK: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// One test for all of it: there is only one such address.
#[test]
fn clients_and_targets_may_use_ipv6() {
    if let Err(error) = TcpListener::bind((LOOPBACK, 0)) {
        return skip(&format!("no ::1 here: {error}"));
    }
    let six = Backend::start_on(SocketAddr::new(LOOPBACK, ports().target));
    let four = Backend::start();
    let targets = [six.address, four.address];
    let balancer = BINARY.start_on(LOOPBACK, &targets, &[("BALANCE", "round_robin")]);
    for target in targets {
        balancer.wait_for_state(target, "healthy");
    }
    assert_eq!(balancer.target(six.address)["id"], format!("[::1]:{}", ports().target));
    let served: Vec<_> = (0..20).map(|_| balancer.get("/")).collect();
    for target in targets {
        assert!(served.contains(&target.to_string()), "{target} is not among {served:?}");
    }
    let health = format!("node_health_status{{node=\"{}\"}}", six.address);
    assert_eq!(balancer.count(&health), 1);
    drop(balancer);

    // All addresses, IPv4 too.
    let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let balancer = BINARY.start_on(any, &targets, &[]);
    for host in [LOOPBACK, [127, 0, 0, 1].into()] {
        let address = SocketAddr::new(host, balancer.address.port());
        assert_eq!(testkit::http::get(address, "/").unwrap().status, 200);
    }
}
