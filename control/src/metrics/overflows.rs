use std::collections::VecDeque;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::metrics::Metrics;

/// How often they are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// For so many periods an overflow waits for the drop that belongs to it: a core reads its listener's
/// drops once a second, too, and a moment later where it is busy.
const PERIODS_KEPT: usize = 3;

/// Where the kernel counts by network namespace, in pairs of lines: names, then numbers (proc(5)).
const NETSTAT: &str = "/proc/net/netstat";

/// How many connections were dropped because a listen queue of this process was full.
///
/// The kernel has no counter of that for a listener. A listener's drops also grow with port scans,
/// half-open connections and stray segments; the namespace's `ListenOverflows` grow with other
/// programs' queues. What both have grown by is at least nearly right. Pure.
#[derive(Debug)]
struct Overflows {
    drops: u64,
    /// `None` where it cannot be read.
    of_namespace: Option<u64>,
    /// How much it has grown in the latest periods, without what was counted; the oldest first.
    unmatched: VecDeque<u64>,
}

impl Overflows {
    /// Begins to count with all listeners' drops and the namespace's overflows as they are.
    fn new(drops: u64, of_namespace: Option<u64>) -> Self {
        Self { drops, of_namespace, unmatched: VecDeque::new() }
    }

    /// How many more there are, a period later.
    fn more(&mut self, drops: u64, of_namespace: Option<u64>) -> u64 {
        let dropped = drops.saturating_sub(std::mem::replace(&mut self.drops, drops));
        let before = std::mem::replace(&mut self.of_namespace, of_namespace);
        let Some((before, now)) = before.zip(of_namespace) else {
            // Drops are all there is to know.
            return dropped;
        };
        self.unmatched.push_back(now.saturating_sub(before));
        if self.unmatched.len() > PERIODS_KEPT {
            self.unmatched.pop_front();
        }
        let mut left = dropped;
        for overflows in &mut self.unmatched {
            let matched = left.min(*overflows);
            *overflows -= matched;
            left -= matched;
        }
        dropped - left
    }
}

/// Counts overflows until the runtime ends.
pub(crate) async fn count(metrics: Arc<Metrics>) {
    let mut overflows = Overflows::new(metrics.listen_drops(), of_namespace());
    let mut periods = interval(PERIOD);
    periods.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        periods.tick().await;
        metrics.overflowed(overflows.more(metrics.listen_drops(), of_namespace()));
    }
}

fn of_namespace() -> Option<u64> {
    parse(&fs::read_to_string(NETSTAT).ok()?)
}

fn parse(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let mut columns = names.split_whitespace().zip(numbers.split_whitespace());
    columns.find(|(name, _)| *name == "ListenOverflows")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::seeds::seeds;

    #[test]
    fn what_both_have_grown_by_counts() {
        let mut overflows = Overflows::new(10, Some(100));
        // A port scan; another program's queue; both.
        assert_eq!(overflows.more(60, Some(100)), 0);
        assert_eq!(overflows.more(60, Some(107)), 0);
        assert_eq!(overflows.more(75, Some(112)), 12);
        assert_eq!(overflows.more(75, Some(112)), 0);
        assert_eq!(overflows.more(76, Some(113)), 1);
    }

    #[test]
    fn a_drop_that_is_read_late_counts_and_one_that_comes_later_does_not() {
        let mut overflows = Overflows::new(0, Some(0));
        assert_eq!(overflows.more(0, Some(5)), 0);
        assert_eq!(overflows.more(2, Some(5)), 2);
        assert_eq!(overflows.more(4, Some(5)), 2);
        assert_eq!(overflows.more(6, Some(5)), 0, "the fifth overflow is too old");
        assert_eq!(overflows.more(6, Some(6)), 0, "drops do not wait for overflows");
    }

    #[test]
    fn over_all_time_neither_is_exceeded() {
        for seed in 0..seeds(200) {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut drops, mut all, mut counted, mut ours) = (0, 0, 0, 0);
            let mut overflows = Overflows::new(0, Some(0));
            // Drops that a core has not read yet.
            let mut unread = VecDeque::from([0; 2]);
            for _ in 0..1000 {
                let own = random.u64(0..20) * u64::from(random.bool());
                ours += own;
                all += own + random.u64(0..5) * u64::from(random.u8(0..10) == 0);
                unread.push_back(own + random.u64(0..9) * u64::from(random.u8(0..10) == 0));
                drops += unread.pop_front().unwrap();
                counted += overflows.more(drops, Some(all));
                assert!(counted <= drops && counted <= all, "seed {seed}");
            }
            let late: u64 = unread.iter().sum();
            assert!(counted + late >= ours, "seed {seed}: {counted} of {ours}, {late} unread");
        }
    }

    #[test]
    fn without_the_namespaces_number_drops_count() {
        let mut overflows = Overflows::new(1, None);
        assert_eq!(overflows.more(4, None), 3);
        assert_eq!(overflows.more(5, Some(9)), 1);
        assert_eq!(overflows.more(9, Some(9)), 0);
    }

    #[test]
    fn the_kernels_number_is_found_by_its_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\n\
                    IpExt: ListenOverflows\nIpExt: 4\n";
        assert_eq!(parse(text), Some(22));
        for text in ["", "TcpExt: ListenOverflows", "TcpExt: A B\nTcpExt: 1 2\n"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert!(of_namespace().is_some());
    }
}
