//! Targets of the balancer's own zone come first, as far as they can carry what comes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::BINARY;
use testkit::backend::{Backend, Server};
use testkit::balancer::Balancer;
use testkit::http::Message;
use testkit::net::address;
use testkit::wait::wait_until;

const AWARE: [(&str, &str); 2] = [("ZONE_AWARE", "true"), ("AVAILABILITY_ZONE", "near")];

/// A balancer and targets in its own zone, `near`, and in another.
struct Stage {
    balancer: Balancer,
    near: Vec<Backend>,
    far: Vec<Backend>,
}

impl Stage {
    fn new(near: usize, far: usize, environment: &[(&str, &str)]) -> Self {
        let start = |count| (0..count).map(|_| Backend::start()).collect::<Vec<_>>();
        let (near, far) = (start(near), start(far));
        let named = |backends: &[Backend], zone: &str| -> Vec<String> {
            backends.iter().map(|backend| format!("{}@{zone}", backend.address)).collect()
        };
        let targets = [named(&near, "near"), named(&far, "far")].concat().join(",");
        let environment = [&[("TARGETS", targets.as_str())], environment].concat();
        let balancer = BINARY.start(&[], &environment);
        for backend in near.iter().chain(&far) {
            balancer.wait_for_state(backend.address, "healthy");
        }
        Self { balancer, near, far }
    }

    /// How many of so many connections reach the own zone.
    fn near_of(&self, connections: usize) -> usize {
        let near: Vec<_> = self.near.iter().map(|it| it.address.to_string()).collect();
        (0..connections).filter(|_| near.contains(&self.balancer.get("/"))).count()
    }

    /// Waits until a core goes by what the control plane knows.
    fn wait_for_near_of(&self, connections: usize, expected: usize) {
        let what = format!("{expected} of {connections} stay near");
        wait_until(&what, || self.near_of(connections) == expected);
    }

    /// Connections to the same zone and to another, as counted by the balancer.
    fn counted(&self) -> [u64; 2] {
        let count = |zone: &str| format!("zone_connections_total{{zone=\"{zone}\"}}");
        ["same", "other"].map(|zone| self.balancer.count(&count(zone)))
    }
}

#[test]
fn a_zone_that_can_carry_its_share_gets_all_while_it_is_healthy() {
    let stage = Stage::new(2, 2, &AWARE);
    stage.wait_for_near_of(40, 40);
    let [same, other] = stage.counted();
    assert_eq!(stage.near_of(60), 60);
    assert_eq!(stage.counted(), [same + 60, other]);
    for near in &stage.near {
        assert!(near.accepted() >= 10, "both of the zone are used");
    }

    for near in &stage.near {
        near.set_health(500);
    }
    stage.wait_for_near_of(20, 0);
    let [same, other] = stage.counted();
    assert_eq!(stage.near_of(40), 0);
    assert_eq!(stage.counted(), [same, other + 40]);
    for far in &stage.far {
        assert!(far.accepted() >= 5, "both of the other zone are used");
    }

    for near in &stage.near {
        near.set_health(200);
    }
    stage.wait_for_near_of(40, 40);
    assert_eq!(stage.balancer.count("failed_connections_total"), 0);
}

#[test]
fn a_small_zone_keeps_what_it_can_carry() {
    let stage = Stage::new(1, 3, &[AWARE[0], AWARE[1], ("CORES", "1")]);
    let far_is_used = || (0..2).all(|_| stage.near_of(20) < 20);
    wait_until("connections spill over", far_is_used);
    let [same, other] = stage.counted();
    // One target of four for half of the connections: half of those stay. The slack is six standard
    // deviations; an even spread would be ten of them away.
    let near = stage.near_of(400);
    assert!(near.abs_diff(200) <= 60, "{near}");
    let near = u64::try_from(near).unwrap();
    assert_eq!(stage.counted(), [same + near, other + 400 - near]);
}

#[test]
fn zones_are_alike_unless_asked_for() {
    let stage = Stage::new(1, 1, &[("AVAILABILITY_ZONE", "near")]);
    wait_until("both are used", || (1..20).contains(&stage.near_of(20)));
    assert_eq!(stage.counted(), [0, 0]);
}

#[test]
fn the_own_zone_comes_from_a_metadata_service_that_may_be_late() {
    let address = SocketAddr::new(address::unique(), address::ports().target);
    let status = Arc::new(AtomicU16::new(503));
    let answers = Arc::clone(&status);
    let _metadata = Server::start(address, move |stream| {
        let Ok(Some(request)) = Message::read(stream) else { return };
        let body = if request.start.starts_with("PUT ") { "token" } else { "near" };
        // The balancer may have given up.
        let _ = Message::answer(answers.load(Ordering::SeqCst), body).write(stream);
    });
    let endpoint = format!("http://{address}");
    let environment =
        [("ZONE_AWARE", "true"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint.as_str())];
    let stage = Stage::new(1, 1, &environment);
    stage.balancer.wait_for_log("AVAILABILITY_ZONE");
    wait_until("both are used", || (1..20).contains(&stage.near_of(20)));

    status.store(200, Ordering::SeqCst);
    stage.balancer.wait_for_log("this balancer is in zone \"near\"");
    stage.wait_for_near_of(20, 20);
    let lines = stage.balancer.log_lines("instance metadata");
    assert!(lines.len() == 1 && lines[0].contains("status 503"), "{lines:?}");
}
