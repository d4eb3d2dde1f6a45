use std::net::TcpStream;

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;
use testkit::wait::wait_until;

/// One connection through the balancer, both of its ends.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) target: TcpStream,
}

/// A balancer with one target, without connections that are no client's.
pub(crate) struct Stage {
    pub(crate) balancer: Balancer,
    target: RawTarget,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let target = RawTarget::start();
        Self { balancer: BINARY.start(&[target.address], &[("POOL_SIZE", "0")]), target }
    }

    /// One connection at a time: whose end is whose would be unclear otherwise.
    pub(crate) fn pair(&self) -> Pair {
        Pair { client: self.balancer.connect(), target: self.target.accept() }
    }

    /// Waits until nothing is left of any connection.
    pub(crate) fn wait_until_empty(&self) {
        self.balancer.wait_for_count("active_connections", 0);
        wait_until("no connection to the target", || {
            self.balancer.target(self.target.address)["active_connections"] == 0
        });
    }
}

impl Pair {
    /// The ends in both orders: a test is the same whoever begins.
    pub(crate) fn in_order(self, client_first: bool) -> (TcpStream, TcpStream) {
        if client_first { (self.client, self.target) } else { (self.target, self.client) }
    }
}
