use super::connect_durations::ConnectDurations;
use super::counter::Counter;
use super::rejection::Rejections;

/// What one core counts about itself and its own connections. On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreCounters {
    /// Total: iterations of the core's loop, at least ten a second as long as it lives.
    pub iterations: Counter,
    /// Gauge: 1 once the core has ended, as it does in a graceful end.
    pub ended: Counter,
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
    }
}
