//! AWS answers, but takes its time.

use std::time::Duration;

use crate::fleet::{Fleet, IDS, refreshes, wait_for_healthy};
use testkit::aws::api::Behaviour;

/// More than a fourth of what a refresh may take at the default period.
const SLOW: Duration = Duration::from_secs(5);

#[test]
fn a_first_refresh_has_the_time_it_needs() {
    let fleet = Fleet::start();
    fleet.aws.behave(Behaviour::Slow(SLOW));
    // The default.
    let balancer = fleet.balancer(&[("NODE_CHECK_PERIOD", "")]);
    wait_for_healthy(&balancer, IDS.len());
    assert!(refreshes(&balancer, "timeout") < 0.5);
    // The next one has not.
    balancer.wait_for_log("answered too slowly (limit 17.5s): raise NODE_CHECK_PERIOD; if nothing");
    assert_eq!(balancer.ids("healthy"), IDS);
}

#[test]
fn later_ones_say_what_gives_them_more() {
    let fleet = Fleet::start();
    let balancer = fleet.ready_balancer(&[]);
    fleet.aws.behave(Behaviour::Slow(Duration::from_secs(2)));
    balancer.wait_for_log("answered too slowly (limit 1");
    balancer.wait_for_log("s): raise NODE_CHECK_PERIOD; if nothing answers at all, check");
    balancer.wait_for_refreshes("timeout", 1);
    assert_eq!(balancer.ids("healthy"), IDS);
}

#[test]
fn with_a_short_period_the_time_it_needs_comes_in_steps() {
    let fleet = Fleet::start();
    fleet.aws.behave(Behaviour::Slow(Duration::from_millis(1500)));
    let balancer = fleet.balancer(&[]);
    balancer.wait_for_log("no answer in time to");
    balancer.wait_for_log("nothing has come within 1");
    wait_for_healthy(&balancer, IDS.len());
}
