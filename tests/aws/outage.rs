//! AWS is gone for a while.

use std::time::Duration;

use crate::clients::Clients;
use crate::fleet::Fleet;
use testkit::aws::moto::Moto;
use testkit::wait::wait_until;

/// How long AWS is away.
const OUTAGE: f64 = 5.0;

#[test]
fn no_client_notices_and_everything_goes_on_afterwards() {
    let Some(mut moto) = Moto::own() else { return };
    moto.seed();
    let mut fleet = Fleet::start_in(&moto);
    let members = fleet.scale_out(3);
    let balancer = fleet.balancer(&members, &[]);
    let ids = balancer.ids("healthy");
    let clients = Clients::start(balancer.address);

    moto.kill();
    fleet.proxy.close();
    balancer.wait_for_refreshes("unreachable", 2);
    wait_until("the outage is over", || {
        assert_eq!(balancer.ids("healthy"), ids);
        std::thread::sleep(Duration::from_millis(100));
        balancer.metric("discovery_age_seconds") > OUTAGE
    });
    assert_eq!(clients.next_targets(50).len(), ids.len());
    moto.restart();
    // It has forgotten everything; the same calls lead to the same ids.
    moto.seed();
    assert_eq!(fleet.repeat(&members), members);
    fleet.proxy.open();
    balancer.wait_for_refreshes("ok", 1);
    balancer.wait_for_log("works again: 3 targets");
    assert_eq!(balancer.ids("healthy"), ids);
    assert_eq!(balancer.targets().len(), ids.len());

    let new = fleet.scale_out(1).remove(0);
    wait_until("a new member is seen", || clients.targets().contains(&new.address));
}
