//! Preconnected connections, where a connect takes a millisecond.

mod fresh;
mod once;
mod replaced;

use std::net::SocketAddr;
use std::time::Duration;

use testkit::balancer::Balancer;
use testkit::net::address::ports;
use testkit::net::namespace::Namespaces;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// Half a round trip.
const DELAY: Duration = Duration::from_micros(500);

/// Two namespaces, the far one for targets; or says why there are none.
fn namespaces() -> Option<Namespaces> {
    Namespaces::apart(DELAY)
        .inspect_err(|error| skip(&format!("no network namespaces: {error}")))
        .ok()
}

/// Where targets serve.
fn far_address() -> SocketAddr {
    SocketAddr::new(Namespaces::FAR, ports().target)
}

/// Lets clients come until so many got a connection that was preconnected.
fn bring_clients_until(balancer: &Balancer, hits: u64, mut client: impl FnMut()) {
    wait_until("clients found connections", || {
        (0..10).for_each(|_| client());
        balancer.count("pool_hits_total") >= hits
    });
}
