use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// What happens when, in virtual time. What is due at the same time happens in the order in which it
/// was noted.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    now: Instant,
    noted: u64,
    due: BinaryHeap<Reverse<Item<E>>>,
}

#[derive(Debug)]
struct Item<E> {
    key: (Instant, u64),
    event: E,
}

impl<E> Agenda<E> {
    /// Virtual time is real only at its start: nobody reads a clock afterwards.
    pub(crate) fn new(now: Instant) -> Self {
        Self { now, noted: 0, due: BinaryHeap::new() }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Notes what happens in a while.
    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now + delay, event);
    }

    /// Notes what happens at a time, which is now if it is over already.
    pub(crate) fn at(&mut self, time: Instant, event: E) {
        self.noted += 1;
        let key = (time.max(self.now), self.noted);
        self.due.push(Reverse(Item { key, event }));
    }

    /// Goes on to what happens next.
    pub(crate) fn next(&mut self) -> Option<E> {
        let Reverse(item) = self.due.pop()?;
        self.now = item.key.0;
        Some(item.event)
    }
}

impl<E> PartialEq for Item<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Item<E> {}

impl<E> PartialOrd for Item<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Item<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
