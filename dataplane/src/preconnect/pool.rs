//! Connections that are preconnected, each to be used by one client, for one target on one core.
//! Keeps account of them and says what should be done; does no I/O.

#[cfg(test)]
mod simulation;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::demand::Demand;
use super::idle_life::IdleLife;
use crate::flow::Key;

/// Connections that find out whether their life may be longer, where it has become too short for
/// any to be wanted, are connected to no more often than this.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The pool of one target on one core.
#[derive(Debug)]
pub(crate) struct Pool {
    most: usize,
    demand: Demand,
    life: IdleLife,
    connecting: Vec<Key>,
    /// Ready for a client, in the order in which they became so.
    idle: VecDeque<IdleConnection>,
    /// Too old for clients, kept to see how long the target allows.
    probe: Option<IdleConnection>,
    probed: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct IdleConnection {
    key: Key,
    since: Instant,
}

impl IdleConnection {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Pool {
    /// Empty, and never more than `most` connections.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            demand: Demand::default(),
            life: IdleLife::new(),
            connecting: Vec::new(),
            idle: VecDeque::new(),
            probe: None,
            probed: None,
        }
    }

    /// From now on, never more than `most` connections.
    pub(crate) fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// Connections in it, those being connected among them.
    pub(crate) fn len(&self) -> usize {
        self.connecting.len() + self.idle.len() + usize::from(self.probe.is_some())
    }

    /// Takes out a connection for a client that has come: the newest one that `is_ready`.
    pub(crate) fn claim(
        &mut self,
        now: Instant,
        mut is_ready: impl FnMut(Key) -> bool,
    ) -> Option<Key> {
        self.demand.note_client(now);
        let newest = *self.idle.back()?;
        if newest.age(now) >= self.life.get() {
            return None;
        }
        // One that is not ready is about to leave by itself.
        let index = self.idle.iter().rposition(|idle| is_ready(idle.key))?;
        let is_fresh = self.idle[index].age(now) < self.life.get();
        let claimed = if is_fresh { self.idle.remove(index) } else { None };
        claimed.map(|idle| idle.key)
    }

    /// How many connections are to be connected now.
    pub(crate) fn lacking(&self, now: Instant) -> usize {
        if self.most == 0 {
            return 0;
        }
        let wanted = self.wanted(now).max(usize::from(self.needs_probe(now))).min(self.most);
        wanted.saturating_sub(self.connecting.len() + self.idle.len()).min(self.most - self.len())
    }

    /// A connection is being connected.
    pub(crate) fn note_connecting(&mut self, key: Key) {
        self.connecting.push(key);
    }

    /// A connect, for the pool or for a client, has succeeded within `duration`.
    pub(crate) fn note_connect(&mut self, duration: Duration) {
        self.demand.note_connect(duration);
    }

    /// A connection that was being connected is there.
    pub(crate) fn note_ready(&mut self, key: Key, now: Instant) {
        self.connecting.retain(|&connecting| connecting != key);
        let idle = IdleConnection { key, since: now };
        if self.needs_probe(now) {
            self.probe = Some(idle);
            self.probed = Some(now);
        } else {
            self.idle.push_back(idle);
        }
    }

    /// A connection that was not claimed is gone. `by_target`: the target has ended it.
    pub(crate) fn note_gone(&mut self, key: Key, now: Instant, by_target: bool) {
        self.connecting.retain(|&connecting| connecting != key);
        let position = self.idle.iter().position(|idle| idle.key == key);
        let idle = match position {
            Some(index) => self.idle.remove(index),
            None => self.probe.take_if(|probe| probe.key == key),
        };
        if let Some(idle) = idle.filter(|_| by_target) {
            self.life.note_ended(idle.age(now));
        }
    }

    /// The target has ended a connection when it had just been claimed: it was too old.
    pub(crate) fn note_lost(&mut self) {
        self.life.note_ended(self.life.get());
    }

    /// Takes out a connection that is of no use any more.
    pub(crate) fn take_expired(&mut self, now: Instant) -> Option<Key> {
        if let Some(probe) = self.probe.take_if(|probe| probe.age(now) >= self.life.proof()) {
            self.life.note_survived(probe.age(now));
            return Some(probe.key);
        }
        self.idle.front().filter(|oldest| oldest.age(now) >= self.life.get())?;
        let oldest = self.idle.pop_front()?;
        if self.life.is_short() && self.probe.is_none() {
            self.probe = Some(oldest);
            return self.take_expired(now);
        }
        Some(oldest.key)
    }

    /// Takes out all connections.
    pub(crate) fn take_all(&mut self) -> Vec<Key> {
        let idle = self.idle.drain(..).chain(self.probe.take()).map(|idle| idle.key);
        idle.chain(self.connecting.drain(..)).collect()
    }

    fn wanted(&self, now: Instant) -> usize {
        self.demand.wanted(now, self.life.get())
    }

    /// Whether connections would be wanted if only they were allowed to live longer.
    fn needs_probe(&self, now: Instant) -> bool {
        self.life.is_short()
            && self.probe.is_none()
            && self.wanted(now) == 0
            && self.demand.wanted(now, IdleLife::new().get()) > 0
            && self.probed.is_none_or(|at| now.saturating_duration_since(at) >= PROBE_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn key(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    /// A pool of a target with much traffic and connects of a millisecond.
    fn busy(most: usize, now: Instant) -> Pool {
        let mut pool = Pool::new(most);
        (0..1000).for_each(|_| assert!(pool.claim(now, |_| true).is_none()));
        pool.note_connect(MS);
        pool
    }

    fn fill(pool: &mut Pool, keys: std::ops::Range<u32>, now: Instant) {
        for slot in keys {
            pool.note_connecting(key(slot));
            pool.note_ready(key(slot), now);
        }
    }

    #[test]
    fn it_lacks_what_is_wanted_and_neither_there_nor_on_its_way() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        assert_eq!(pool.lacking(now), 3);
        pool.note_connecting(key(1));
        fill(&mut pool, 2..4, now);
        assert_eq!((pool.lacking(now), pool.len()), (0, 3));
        assert_eq!(busy(2, now).lacking(now), 2);
        assert_eq!(busy(0, now).lacking(now), 0);
    }

    #[test]
    fn the_newest_that_is_ready_is_claimed_once() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        fill(&mut pool, 1..4, now);
        assert_eq!(pool.claim(now, |it| it != key(3)), Some(key(2)));
        assert_eq!(pool.claim(now, |_| true), Some(key(3)));
        assert_eq!(pool.claim(now + 500 * MS, |_| true), None, "too old");
        assert_eq!(pool.claim(now, |_| true), Some(key(1)));
        assert_eq!(pool.claim(now, |_| true), None);
    }

    #[test]
    fn what_is_too_old_leaves_except_for_one_that_shows_how_old_it_may_become() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        fill(&mut pool, 1..4, now);
        pool.note_gone(key(1), now + 100 * MS, true);
        assert_eq!(pool.take_expired(now + 49 * MS), None);
        assert_eq!(pool.take_expired(now + 50 * MS), Some(key(3)), "half of what was allowed");
        assert_eq!(pool.take_expired(now + 50 * MS), None, "the other one is kept");
        assert_eq!(pool.claim(now + 50 * MS, |_| true), None, "but not for clients");
        assert_eq!(pool.take_expired(now + 125 * MS), Some(key(2)));
        assert_eq!(pool.life.get(), Duration::from_micros(62_500));
    }

    #[test]
    fn a_target_that_ends_connections_at_once_gets_one_now_and_then() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        fill(&mut pool, 1..2, now);
        pool.note_gone(key(1), now, true);
        assert_eq!(pool.lacking(now), 1);
        fill(&mut pool, 2..3, now);
        assert_eq!(pool.lacking(now), 0);
        pool.note_gone(key(2), now, true);
        assert_eq!(pool.lacking(now + 999 * MS), 0);
        assert_eq!(pool.lacking(now + 1000 * MS), 1);
    }

    #[test]
    fn after_a_client_got_one_that_was_about_to_end_they_live_half_as_long() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        fill(&mut pool, 1..3, now);
        assert_eq!(pool.claim(now + 499 * MS, |_| true), Some(key(2)));
        pool.note_lost();
        assert_eq!(pool.claim(now + 250 * MS, |_| true), None);
        assert_eq!(pool.claim(now + 249 * MS, |_| true), Some(key(1)));
    }

    #[test]
    fn all_of_it_can_be_taken_out() {
        let now = Instant::now();
        let mut pool = busy(100, now);
        fill(&mut pool, 1..4, now);
        pool.note_connecting(key(7));
        assert_eq!(pool.take_all().len(), 4);
        assert_eq!((pool.len(), pool.claim(now, |_| true)), (0, None));
    }
}
