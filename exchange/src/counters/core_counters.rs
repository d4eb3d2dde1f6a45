use super::connect_durations::ConnectDurations;
use super::counter::Counter;
use super::rejection::Rejections;
use crate::service::ServiceIndex;

/// What one core counts about itself and, by service, its own connections. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub struct CoreCounters {
    /// Total: iterations of the core's loop, at least ten a second as long as it lives.
    pub iterations: Counter,
    /// Gauge: 1 once the core has ended, as it does in a graceful end.
    pub ended: Counter,
    services: Box<[ServiceCounters]>,
}

impl CoreCounters {
    /// All zero, for so many services.
    pub fn new(services: usize) -> Self {
        Self {
            iterations: Counter::default(),
            ended: Counter::default(),
            services: (0..services).map(|_| ServiceCounters::default()).collect(),
        }
    }

    /// What the core counts about one service.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn of(&self, service: ServiceIndex) -> &ServiceCounters {
        &self.services[service.place()]
    }

    /// What the core counts about each service.
    pub fn services(&self) -> &[ServiceCounters] {
        &self.services
    }

    /// Client connections that are open, of all services.
    pub fn active(&self) -> u64 {
        self.services.iter().map(|service| service.connections.active.get()).sum()
    }
}

/// For one service.
impl Default for CoreCounters {
    fn default() -> Self {
        Self::new(1)
    }
}

/// What one core counts about one service. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ServiceCounters {
    /// Gauge: 1 while accepting is paused for want of descriptors.
    pub accept_paused: Counter,
    /// Total: what the kernel dropped at the core's listener, for whatever reason.
    pub listen_drops: Counter,
    /// Client connections.
    pub connections: ConnectionCounters,
    /// Attempts to connect to targets.
    pub connects: ConnectCounters,
    /// Preconnected connections.
    pub preconnect: PreconnectCounters,
}

/// What one core counts about client connections.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Gauge: those that are open.
    pub active: Counter,
    /// Total: those that got a target.
    pub successful: Counter,
    /// Total: those that ended without having got a target.
    pub failed: Counter,
    /// Total: those that got a target of the balancer's own zone.
    pub same_zone: Counter,
    /// Total: those that got a target known to be in another zone than the balancer.
    pub other_zone: Counter,
    /// Total: those ended because nothing had moved on them for too long.
    pub idle_timeouts: Counter,
    /// Total: those ended in favour of targets that had joined.
    pub rebalanced: Counter,
    /// Total: those that this core accepted and handed to another.
    pub moved: Counter,
    /// Totals: those that were reset instead of being forwarded.
    pub rejected: Rejections,
}

/// What one core counts about its attempts to connect to targets.
#[derive(Debug, Default)]
pub struct ConnectCounters {
    /// Total: those that failed or took too long.
    pub failed: Counter,
    /// Total: client connections given up because the retry budget was spent.
    pub retry_budget_exhausted: Counter,
    /// Total: those that found no free local port.
    pub without_port: Counter,
    /// Totals: how long they took.
    pub durations: ConnectDurations,
}

/// What one core counts about preconnected connections.
#[derive(Debug, Default)]
pub struct PreconnectCounters {
    /// Total: client connections that got one.
    pub hits: Counter,
    /// Total: client connections whose target had to be connected while others are preconnected.
    pub misses: Counter,
    /// Total: those that were closed because no client came for them.
    pub expired: Counter,
    /// Total: those that their target ended before a client came.
    pub broken: Counter,
    /// Gauge: those that wait for a client, those being connected among them.
    pub waiting: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert!(align_of::<CoreCounters>() >= 64);
        assert!(align_of::<ServiceCounters>() >= 64);
    }

    #[test]
    fn a_cores_connections_are_those_of_all_services() {
        let core = CoreCounters::new(2);
        core.of(ServiceIndex::new(0)).connections.active.add(2);
        core.of(ServiceIndex::new(1)).connections.active.increment();
        assert_eq!((core.active(), core.services().len()), (3, 2));
    }
}
