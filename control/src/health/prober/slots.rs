use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::queue::{CheckQueue, Rank};

/// The slots that checks are made in, of all probers together. Each stands for a descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Mutex<CheckQueue<oneshot::Sender<Slot>>>>);

/// One of them, taken. Dropped, it is the next one's.
#[derive(Debug)]
pub(crate) struct Slot {
    rank: Rank,
    /// None where it was never handed over.
    slots: Option<Slots>,
}

impl Slots {
    pub(crate) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(CheckQueue::new(count))))
    }

    /// Waits for a slot.
    pub(crate) async fn take(&self, rank: Rank) -> Slot {
        let (sender, receiver) = oneshot::channel();
        self.queue().add(rank, sender);
        self.hand_out();
        receiver.await.expect("the queue drops nobody, and is there as long as this")
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.queue().slots()
    }

    /// How many wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().len()
    }

    fn hand_out(&self) {
        loop {
            let Some((rank, waiter)) = self.queue().start() else { return };
            let slot = Slot { rank, slots: Some(self.clone()) };
            // Whoever waited for it may be gone. Dropped, it would hand out the next from here.
            if let Err(mut slot) = waiter.send(slot) {
                slot.slots = None;
                self.queue().end(rank);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, CheckQueue<oneshot::Sender<Slot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slots) = self.slots.take() {
            slots.queue().end(self.rank);
            slots.hand_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_slot_that_is_dropped_is_the_next_ones() {
        let slots = Slots::new(1);
        let Poll::Ready(first) = poll(pin!(slots.take(Rank::Hung))) else { panic!("it is free") };
        let mut second = pin!(slots.take(Rank::Hung));
        assert!(poll(second.as_mut()).is_pending());
        let mut third = pin!(slots.take(Rank::Passed));
        assert!(poll(third.as_mut()).is_pending());
        assert_eq!(slots.waiting(), 2);
        drop(first);
        assert!(poll(second.as_mut()).is_pending());
        let Poll::Ready(slot) = poll(third) else { panic!("it goes first") };
        drop(slot);
        assert!(poll(second).is_ready());
    }

    #[test]
    fn who_goes_away_leaves_no_slot_behind() {
        let slots = Slots::new(1);
        let Poll::Ready(first) = poll(pin!(slots.take(Rank::Passed))) else { panic!("free") };
        for _ in 0..100_000 {
            assert!(poll(pin!(slots.take(Rank::Hung))).is_pending());
        }
        {
            // It is handed the slot and gone before it has seen that.
            let mut gone = pin!(slots.take(Rank::Passed));
            assert!(poll(gone.as_mut()).is_pending());
            drop(first);
        }
        assert_eq!(slots.waiting(), 0);
        assert!(poll(pin!(slots.take(Rank::Hung))).is_ready());
    }
}
