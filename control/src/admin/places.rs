use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Most admin clients at a time.
pub(super) const PLACES_MAX: usize = 32;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlaceStage {
    /// Its request is not there yet.
    Idle,
    /// What it asks for is being done.
    Served,
    /// Its answer is on the way to it.
    Answered,
    /// It has to make room.
    Leaving,
}

/// The clients that there are, by their order of arrival, and who of them makes room for another.
/// Pure.
#[derive(Debug, Default)]
struct Guests(BTreeMap<u64, (PlaceStage, Arc<Notify>)>);

impl Guests {
    /// Has the oldest client that says nothing make room; where all have said something, the oldest
    /// one that does not read its answer. One makes room at a time, and none while it is served.
    fn make_room(&mut self) {
        if self.0.len() < PLACES_MAX || self.any(PlaceStage::Leaving).is_some() {
            return;
        }
        let Some(oldest) = self.any(PlaceStage::Idle).or(self.any(PlaceStage::Answered)) else {
            return;
        };
        if let Some((stage, is_needed)) = self.0.get_mut(&oldest) {
            *stage = PlaceStage::Leaving;
            is_needed.notify_one();
        }
    }

    /// The oldest one so far.
    fn any(&self, wanted: PlaceStage) -> Option<u64> {
        let mut found = self.0.iter().filter(|(_, (stage, _))| *stage == wanted);
        found.next().map(|(&number, _)| number)
    }
}

/// Places for so many clients at a time.
#[derive(Debug, Default)]
pub(super) struct Places {
    shared: Arc<Shared>,
    next: u64,
}

#[derive(Debug, Default)]
struct Shared {
    guests: Mutex<Guests>,
    /// A client has gone, or may be sent away now.
    changed: Notify,
}

/// A client's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    is_needed: Arc<Notify>,
    shared: Arc<Shared>,
}

impl Places {
    /// A place for the client that has come last, as soon as there is one.
    pub(super) async fn take(&mut self) -> Place {
        loop {
            {
                let mut guests = self.shared.guests();
                if guests.0.len() < PLACES_MAX {
                    let (number, is_needed) = (self.next, Arc::<Notify>::default());
                    self.next += 1;
                    guests.0.insert(number, (PlaceStage::Idle, Arc::clone(&is_needed)));
                    return Place { number, is_needed, shared: Arc::clone(&self.shared) };
                }
                guests.make_room();
            }
            self.shared.changed.notified().await;
        }
    }
}

impl Shared {
    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Its request is there.
    pub(super) fn is_served(&self) {
        self.advance(PlaceStage::Served);
    }

    /// Its answer is there.
    pub(super) fn is_answered(&self) {
        self.advance(PlaceStage::Answered);
        self.shared.changed.notify_one();
    }

    /// Waits until it has to make room for another client.
    pub(super) async fn is_needed(&self) {
        self.is_needed.notified().await;
    }

    fn advance(&self, next: PlaceStage) {
        if let Some((stage, _)) = self.shared.guests().0.get_mut(&self.number)
            && *stage != PlaceStage::Leaving
        {
            *stage = next;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.guests().0.remove(&self.number);
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        match poll(pin!(future)) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it has to wait"),
        }
    }

    fn full() -> (Places, Vec<Place>) {
        let mut places = Places::default();
        let guests = (0..PLACES_MAX).map(|_| now(places.take())).collect();
        (places, guests)
    }

    #[test]
    fn the_oldest_one_that_says_nothing_makes_room() {
        let (mut places, mut guests) = full();
        guests[0].is_served();
        guests[1].is_served();
        guests[1].is_answered();
        let mut next = pin!(places.take());
        for _ in 0..3 {
            assert!(poll(next.as_mut()).is_pending());
            let needed = guests.iter().position(|it| poll(pin!(it.is_needed())).is_ready());
            // It is told once, and one alone is.
            assert!(matches!(needed, Some(2) | None), "{needed:?}");
        }
        // Too late for its request.
        guests[2].is_served();
        assert!(poll(next.as_mut()).is_pending());
        drop(guests.remove(2));
        assert!(poll(next).is_ready());
    }

    #[test]
    fn one_that_does_not_read_makes_room_where_all_have_asked() {
        let (mut places, mut guests) = full();
        for guest in &guests {
            guest.is_served();
        }
        let mut next = pin!(places.take());
        assert!(poll(next.as_mut()).is_pending());
        guests[7].is_answered();
        assert!(poll(next.as_mut()).is_pending());
        now(guests[7].is_needed());
        drop(guests.remove(7));
        assert!(poll(next).is_ready());
    }

    #[test]
    fn who_is_served_stays() {
        let (mut places, mut guests) = full();
        for guest in &guests {
            guest.is_served();
        }
        let mut next = pin!(places.take());
        assert!(poll(next.as_mut()).is_pending());
        assert!(guests.iter().all(|it| poll(pin!(it.is_needed())).is_pending()));
        drop(guests.pop());
        assert!(poll(next).is_ready());
    }
}
