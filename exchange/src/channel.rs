use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{EventfdFlags, eventfd};

use crate::snapshot::Snapshot;

/// Makes the channels from the control plane to `cores` cores.
///
/// # Errors
/// When an eventfd cannot be made (descriptors have run out).
pub fn broadcast(cores: usize) -> io::Result<(Publisher, Vec<Subscriber>)> {
    let mut lanes = Vec::with_capacity(cores);
    let mut subscribers = Vec::with_capacity(cores);
    for _ in 0..cores {
        let (sender, receiver) = bounded(1);
        let waker = Waker::new()?;
        lanes.push(Lane { sender, receiver: receiver.clone(), waker: waker.clone() });
        subscribers.push(Subscriber { receiver, waker });
    }
    Ok((Publisher { lanes }, subscribers))
}

/// Ends a thread's wait. Clones wake the same thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    fn new() -> io::Result<Self> {
        // Blocking on purpose: io_uring parks a read of a blocking descriptor, but would answer
        // EAGAIN at once for a non-blocking one.
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// One for an event loop that reads when told that there is something.
    pub(crate) fn nonblocking() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Wakes it, now or at its next wait.
    pub fn wake(&self) {
        // The write can only fail or block when 2^64 - 2 wakes are pending (eventfd(2)).
        let written = rustix::io::write(&self.0, &1u64.to_ne_bytes());
        debug_assert!(written.is_ok(), "eventfd write: {written:?}");
    }
}

impl AsFd for Waker {
    /// The eventfd: readable, 8 bytes, when it was woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The sending end of all lanes; belongs to the control plane.
#[derive(Debug)]
pub struct Publisher {
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    sender: Sender<Arc<Snapshot>>,
    /// The same queue's other end, to take out a snapshot that the core has not picked up yet.
    receiver: Receiver<Arc<Snapshot>>,
    waker: Waker,
}

impl Publisher {
    /// Gives `snapshot` to every core in place of one it has not picked up yet. Never blocks.
    pub fn publish(&self, snapshot: &Arc<Snapshot>) {
        for lane in &self.lanes {
            let mut next = Arc::clone(snapshot);
            // At most twice: this is the only sender, so a place once emptied stays empty.
            while let Err(TrySendError::Full(unsent)) = lane.sender.try_send(next) {
                next = unsent;
                drop(lane.receiver.try_recv());
            }
            lane.waker.wake();
        }
    }

    /// How many cores listen.
    pub fn cores(&self) -> usize {
        self.lanes.len()
    }
}

/// The receiving end of one lane; belongs to one core.
#[derive(Debug)]
pub struct Subscriber {
    receiver: Receiver<Arc<Snapshot>>,
    waker: Waker,
}

impl Subscriber {
    /// The newest snapshot, if one came since the last call.
    pub fn latest(&self) -> Option<Arc<Snapshot>> {
        self.receiver.try_recv().ok()
    }

    /// What the publisher signals after each snapshot.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, Routing};

    fn generation(number: u64) -> Generation {
        (0..number).fold(Generation::default(), |generation, _| generation.next())
    }

    fn snapshot(number: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot::new(generation(number), Routing::default()))
    }

    #[test]
    fn every_core_gets_the_latest_snapshot_only() {
        let (publisher, subscribers) = broadcast(2).unwrap();
        for number in 1..=3 {
            publisher.publish(&snapshot(number));
        }
        for subscriber in &subscribers {
            assert_eq!(subscriber.latest().unwrap().generation(), generation(3));
            assert!(subscriber.latest().is_none());
        }
    }

    #[test]
    fn publishing_makes_the_eventfd_readable() {
        let (publisher, subscribers) = broadcast(1).unwrap();
        publisher.publish(&snapshot(1));
        publisher.publish(&snapshot(2));
        let mut count = [0; 8];
        assert_eq!(rustix::io::read(subscribers[0].waker(), &mut count).unwrap(), 8);
        assert_eq!(u64::from_ne_bytes(count), 2);
    }

    #[test]
    fn a_core_that_is_gone_does_not_disturb_the_others() {
        let (publisher, mut subscribers) = broadcast(2).unwrap();
        drop(subscribers.remove(0));
        publisher.publish(&snapshot(1));
        publisher.publish(&snapshot(2));
        assert_eq!(subscribers[0].latest().unwrap().generation(), generation(2));
    }
}
