use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::event::{EventfdFlags, eventfd};

use crate::service::ServiceIndex;
use crate::snapshot::Snapshot;

/// Makes the channels from the control plane to `cores` cores, for `services` services: for each core
/// a subscriber for each service. What wakes a core is the same for all of its services.
///
/// # Errors
/// When an eventfd cannot be made (descriptors have run out).
pub fn broadcast(cores: usize, services: usize) -> io::Result<(Publisher, Vec<Vec<Subscriber>>)> {
    let mut lanes: Vec<Vec<Lane>> = (0..services).map(|_| Vec::with_capacity(cores)).collect();
    let mut subscribers = Vec::with_capacity(cores);
    for _ in 0..cores {
        let waker = Waker::new()?;
        let to_core = lanes.iter_mut().map(|lanes| {
            let (sender, receiver) = bounded(1);
            lanes.push(Lane { sender, receiver: receiver.clone(), waker: waker.clone() });
            Subscriber { receiver, waker: waker.clone() }
        });
        subscribers.push(to_core.collect());
    }
    Ok((Publisher { cores, lanes }, subscribers))
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
    cores: usize,
    /// By service, then by core.
    lanes: Vec<Vec<Lane>>,
}

#[derive(Debug)]
struct Lane {
    sender: Sender<Arc<Snapshot>>,
    /// The same queue's other end, to take out a snapshot that the core has not picked up yet.
    receiver: Receiver<Arc<Snapshot>>,
    waker: Waker,
}

impl Publisher {
    /// Gives `snapshot` of a service to every core in place of one it has not picked up yet. Never
    /// blocks.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn publish(&self, service: ServiceIndex, snapshot: &Arc<Snapshot>) {
        for lane in &self.lanes[service.place()] {
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
        self.cores
    }

    /// How many services there are.
    pub fn services(&self) -> usize {
        self.lanes.len()
    }
}

/// The receiving end of one lane: one service, one core.
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
        let (publisher, subscribers) = broadcast(2, 2).unwrap();
        for number in 1..=3 {
            publisher.publish(ServiceIndex::new(1), &snapshot(number));
        }
        for subscriber in &subscribers {
            assert_eq!(subscriber[1].latest().unwrap().generation(), generation(3));
            assert!(subscriber[1].latest().is_none());
            assert!(subscriber[0].latest().is_none(), "it is another service's");
        }
    }

    #[test]
    fn publishing_makes_the_eventfd_readable() {
        let (publisher, subscribers) = broadcast(1, 2).unwrap();
        publisher.publish(ServiceIndex::new(0), &snapshot(1));
        publisher.publish(ServiceIndex::new(1), &snapshot(2));
        let mut count = [0; 8];
        assert_eq!(rustix::io::read(subscribers[0][0].waker(), &mut count).unwrap(), 8);
        assert_eq!(u64::from_ne_bytes(count), 2);
    }

    #[test]
    fn a_core_that_is_gone_does_not_disturb_the_others() {
        let (publisher, mut subscribers) = broadcast(2, 1).unwrap();
        drop(subscribers.remove(0));
        publisher.publish(ServiceIndex::default(), &snapshot(1));
        publisher.publish(ServiceIndex::default(), &snapshot(2));
        assert_eq!(subscribers[0][0].latest().unwrap().generation(), generation(2));
    }
}
