//! The affinity table follows the targets that are eligible, where it is wanted.
use crate::plane::{Plane, serve, settings, target};
use std::time::Duration;
use testkit::backend::HealthServer;
use testkit::wait::wait_for;

use control::discovery::DiscoverySettings::Static;
use exchange::{Affinity, Snapshot};

const TIMEOUT: Duration = Duration::from_secs(5);

fn start(servers: &[&HealthServer], affinity: bool) -> Plane {
    let targets = servers.iter().map(|it| target(it)).collect();
    let mut settings = settings(Static(targets), TIMEOUT);
    settings.services[0].affinity = affinity;
    Plane::start(settings)
}

/// The ports of the targets that clients are led to, in order.
fn mapped(snapshot: &Snapshot) -> Option<Vec<u16>> {
    let ports = |affinity: &Affinity| {
        let mut ports: Vec<_> = affinity.targets().iter().map(|it| it.address.port()).collect();
        ports.sort_unstable();
        ports
    };
    snapshot.affinity().map(|it| ports(it))
}

#[test]
fn clients_are_led_to_eligible_targets_only() {
    let mut servers = [200; 3].map(serve);
    servers.sort_by_key(|server| server.address.port());
    let plane = start(&servers, true);
    let lead_to = |wanted: &[usize]| {
        let wanted = Some(wanted.iter().map(|&i| servers[i].address.port()).collect());
        wait_for("the table", || mapped(&plane.snapshot()), |it| *it == wanted);
    };
    lead_to(&[0, 1, 2]);
    servers[1].set_status(500);
    lead_to(&[0, 2]);
    servers[1].set_status(200);
    servers[2].set_status(500);
    lead_to(&[0, 1]);
}

#[test]
fn there_is_no_table_where_none_is_wanted() {
    let servers = [serve(200)];
    let plane = start(&servers, false);
    plane.wait_for_states("healthy*");
    assert!(plane.snapshot().affinity().is_none());
}
