use std::time::{Duration, Instant};

/// Each new connection pays for this part of a retry, in percent.
const RETRIES_PERCENT: i64 = 20;
/// So many retries a second there may be in any case, all cores together.
const RETRIES_MIN_PER_S: i64 = 10;
/// What was paid in is there for so long, in slots of a second.
const WINDOW_S: usize = 10;
const SLOT: Duration = Duration::from_secs(1);
/// What a retry costs, in the unit of [`RETRIES_PERCENT`].
const RETRY: i64 = 100;

/// Limits retries to a share of recent connections, so that a fleet that breaks down is not hit
/// the harder for it; as in Finagle and linkerd
/// (<https://linkerd.io/2019/02/22/how-we-designed-retries-in-linkerd-2-2/>).
///
/// Whenever there is a retry, those of the last ten seconds (to whole seconds) are at most a fifth
/// of the connections of these ten seconds and a hundred more, divided by the number of cores.
#[derive(Debug)]
pub struct RetryBudget {
    /// What is there without any connections.
    reserve: i64,
    /// What was paid in less what was taken out, second by second. The sum may be negative: what
    /// paid for a retry leaves the window before it does.
    slots: [i64; WINDOW_S],
    current: usize,
    /// When the current slot is over.
    until: Instant,
}

impl RetryBudget {
    /// The budget of one of so many cores.
    pub fn new(cores: usize, now: Instant) -> Self {
        let cores = i64::try_from(cores).unwrap_or(i64::MAX).max(1);
        let window = i64::try_from(WINDOW_S).unwrap_or(i64::MAX);
        // However many cores share it, each may try something.
        let reserve = (RETRIES_MIN_PER_S * window * RETRY / cores).max(RETRY);
        Self { reserve, slots: [0; WINDOW_S], current: 0, until: now + SLOT }
    }

    /// A new connection pays in.
    pub fn deposit(&mut self, now: Instant) {
        self.move_to(now);
        self.slots[self.current] += RETRIES_PERCENT;
    }

    /// Takes a retry out; false if there is not enough left for it.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        self.move_to(now);
        let balance = self.reserve + self.slots.iter().sum::<i64>();
        let has_enough = balance >= RETRY;
        if has_enough {
            self.slots[self.current] -= RETRY;
        }
        has_enough
    }

    fn move_to(&mut self, now: Instant) {
        if now < self.until {
            return;
        }
        for _ in 0..WINDOW_S {
            self.current = (self.current + 1) % WINDOW_S;
            self.slots[self.current] = 0;
            self.until += SLOT;
            if now < self.until {
                return;
            }
        }
        // A pause longer than the window: every slot is empty.
        self.until = now + SLOT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdraw_all(budget: &mut RetryBudget, now: Instant) -> u32 {
        let retries = std::iter::repeat_with(|| budget.withdraw(now)).take(100_000);
        retries.take_while(|&is_paid| is_paid).map(u32::from).sum()
    }

    #[test]
    fn a_fifth_of_recent_connections_may_retry_and_a_hundred_more() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(1, start);
        for _ in 0..5000 {
            budget.deposit(start);
        }
        assert_eq!(withdraw_all(&mut budget, start + 9 * SLOT), 1100);
    }

    #[test]
    fn what_is_older_than_the_window_counts_no_more() {
        let start = Instant::now();
        for pause in [10, 11, 19, 20, 1000] {
            let mut budget = RetryBudget::new(1, start);
            for _ in 0..5000 {
                budget.deposit(start);
            }
            assert_eq!(withdraw_all(&mut budget, start + pause * SLOT), 100, "{pause}");
        }
    }

    #[test]
    fn the_reserve_comes_back() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(1, start);
        assert_eq!(withdraw_all(&mut budget, start), 100);
        assert_eq!(withdraw_all(&mut budget, start + 9 * SLOT), 0);
        assert_eq!(withdraw_all(&mut budget, start + 10 * SLOT), 100);
    }

    #[test]
    fn cores_share_the_reserve_and_each_has_some() {
        let start = Instant::now();
        for (cores, retries) in [(2, 50), (8, 12), (200, 1)] {
            let mut budget = RetryBudget::new(cores, start);
            assert_eq!(withdraw_all(&mut budget, start), retries, "{cores}");
        }
    }

    #[test]
    fn no_retry_exceeds_what_the_last_ten_seconds_allow() {
        let mut rng = fastrand::Rng::with_seed(3);
        let start = Instant::now();
        let mut budget = RetryBudget::new(1, start);
        // Connections and retries until each second's beginning.
        let (mut seconds, mut connections, mut retries) = (Vec::new(), 0, 0);
        for ms in 0..60_000 {
            if ms % 1000 == 0 {
                seconds.push((connections, retries));
            }
            let now = start + Duration::from_millis(ms);
            // Bursts and lulls of a few seconds.
            let arrivals = if (ms / 3000) % 2 == 0 { rng.u32(..10) } else { 0 };
            (0..arrivals).for_each(|_| budget.deposit(now));
            connections += arrivals;
            for _ in 0..rng.u32(..6) {
                if budget.withdraw(now) {
                    retries += 1;
                    let before = seconds[seconds.len().saturating_sub(WINDOW_S)];
                    let allowed = (connections - before.0) / 5 + 100;
                    assert!(retries - before.1 <= allowed, "at {ms} ms");
                }
            }
        }
        // Not the reserve alone, which is for 700.
        assert!(retries > connections / 5 && connections > 100_000, "{retries} of {connections}");
    }
}
