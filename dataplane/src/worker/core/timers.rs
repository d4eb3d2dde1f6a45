use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::flow::Key;

/// Timers that all run for the same time, so that they are due in the order in which they began:
/// a queue does, and most are dropped from its front without ever having been due.
#[derive(Debug)]
pub(crate) struct EqualTimers {
    delay: Duration,
    queue: VecDeque<(Instant, Key)>,
}

impl EqualTimers {
    pub(crate) fn new(delay: Duration) -> Self {
        Self { delay, queue: VecDeque::new() }
    }

    /// Starts a timer; first drops those at the front that `is_over` says nobody waits for, so
    /// that short waits don't pile up behind a long delay.
    pub(crate) fn start(&mut self, now: Instant, key: Key, mut is_over: impl FnMut(Key) -> bool) {
        while self.queue.front().is_some_and(|&(_, key)| is_over(key)) {
            self.queue.pop_front();
        }
        self.queue.push_back((now + self.delay, key));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.front().map(|&(due, _)| due)
    }

    /// Takes a timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_front().map(|(_, key)| key)
    }
}

/// Timers that each run for a time of their own, with a value each.
#[derive(Debug, Default)]
pub(crate) struct Timers<T> {
    heap: BinaryHeap<Timer<T>>,
}

#[derive(Debug)]
struct Timer<T> {
    due: Instant,
    value: T,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    pub(crate) fn start(&mut self, due: Instant, value: T) {
        self.heap.push(Timer { due, value });
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|timer| timer.due)
    }

    /// Takes a timer that is due, the earliest first.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|timer| timer.value)
    }
}

// The heap has its greatest element on top: the timer due first.
impl<T> Ord for Timer<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

impl<T> PartialOrd for Timer<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Timer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl<T> Eq for Timer<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    #[test]
    fn equal_timers_are_due_in_order_and_forgotten_when_over() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut timers = EqualTimers::new(Duration::from_millis(100));
        timers.start(now, key(1), |_| false);
        timers.start(later(10), key(2), |_| false);
        assert_eq!(timers.next(), Some(later(100)));
        assert_eq!(timers.pop_due(later(99)), None);
        assert_eq!(timers.pop_due(later(105)), Some(key(1)));
        assert_eq!(timers.pop_due(later(105)), None);
        timers.start(later(20), key(3), |key| key.slot == 2);
        assert_eq!(timers.next(), Some(later(120)));
        assert_eq!(timers.queue.len(), 1);
    }

    #[test]
    fn timers_are_due_earliest_first() {
        let now = Instant::now();
        let later = |ms| now + Duration::from_millis(ms);
        let mut timers = Timers::new();
        for ms in [30, 10, 20] {
            timers.start(later(ms), ms);
        }
        assert_eq!(timers.next(), Some(later(10)));
        assert_eq!(timers.pop_due(later(25)), Some(10));
        assert_eq!(timers.pop_due(later(25)), Some(20));
        assert_eq!(timers.pop_due(later(25)), None);
    }
}
