//! Accepted connections on their way to a core that has fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded};
use exchange::{CoreCounters, Waker};

use super::connection::NewClient;

/// Most connections on their way to one core. What finds no place stays where it was accepted.
const QUEUE: usize = 256;

/// How many cores' connections are looked at before a batch of clients is given out: each look may
/// cost a cache miss. With more cores than that they take turns.
const LOOKS_MAX: usize = 8;

/// A core may have this many connections more than another, whatever the share.
const LEAD_MAX: u64 = 1;

/// A core may have this many percent of what cores have on average.
const PERCENT_OF_MEAN_MAX: u64 = 105;

/// One core's end of the lanes between all cores. A connection is in exactly one place: with the core
/// that accepted it, in a queue, or with the core that took it from there.
#[derive(Debug)]
pub(crate) struct CoreBalancer {
    lanes: Arc<Lanes>,
    core: usize,
    /// What each core has to serve, as last seen; `None` where nothing is to be moved to.
    loads: Vec<Option<u64>>,
    next_look: usize,
    /// Whom something was moved to since they were last woken.
    to_wake: Vec<usize>,
    /// It has not said yet that it moves nothing any more.
    may_move: bool,
}

#[derive(Debug)]
struct Lanes {
    by_core: Box<[Lane]>,
    /// Cores that may still move something.
    senders: AtomicUsize,
}

/// The way to one core. On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Lane {
    /// The core serves clients.
    is_open: AtomicBool,
    /// Connections that were moved and that the core does not count yet.
    in_transit: AtomicUsize,
    sender: Sender<NewClient>,
    receiver: Receiver<NewClient>,
    waker: Waker,
}

impl CoreBalancer {
    /// The ends for as many cores as there are wakers, in their order.
    pub(crate) fn between(wakers: Vec<Waker>) -> Vec<Self> {
        let cores = wakers.len();
        let lanes = wakers.into_iter().map(|waker| {
            let (sender, receiver) = bounded(QUEUE);
            let (is_open, in_transit) = (AtomicBool::new(false), AtomicUsize::new(0));
            Lane { is_open, in_transit, sender, receiver, waker }
        });
        let lanes = Arc::new(Lanes { by_core: lanes.collect(), senders: AtomicUsize::new(cores) });
        let end = |core| Self {
            lanes: Arc::clone(&lanes),
            core,
            loads: vec![None; cores],
            next_look: 0,
            to_wake: Vec::new(),
            may_move: true,
        };
        (0..cores).map(end).collect()
    }

    /// Says whether other cores may move something to this one.
    pub(crate) fn set_open(&self, is_open: bool) {
        // Only a hint: what comes too late is served all the same.
        // Others read it: it is written only when it changes.
        let flag = &self.own_lane().is_open;
        if flag.load(Ordering::Relaxed) != is_open {
            flag.store(is_open, Ordering::Relaxed);
        }
    }

    /// Looks at what other cores have to serve.
    pub(crate) fn look(&mut self, counters: &[CoreCounters]) {
        for _ in 0..self.loads.len().min(LOOKS_MAX) {
            let core = self.next_look;
            self.next_look = (core + 1) % self.loads.len();
            let lane = &self.lanes.by_core[core];
            self.loads[core] = lane.is_open.load(Ordering::Relaxed).then(|| {
                let in_transit = lane.in_transit.load(Ordering::Relaxed) as u64;
                counters[core].active() + in_transit
            });
        }
    }

    /// Moves `client` to a core that has clearly fewer connections than this one, which has `own`.
    /// It comes back if there is none, or no place for it on the way.
    pub(crate) fn offer(&mut self, client: NewClient, own: u64) -> Option<NewClient> {
        debug_assert!(self.may_move, "a core that has stopped moves nothing");
        // What others have moved to this core is its own, too.
        let own = own + self.own_lane().in_transit.load(Ordering::Relaxed) as u64;
        self.loads[self.core] = Some(own);
        let Some(receiver_core) = lighter_core(&self.loads, own) else { return Some(client) };
        let lane = &self.lanes.by_core[receiver_core];
        lane.in_transit.fetch_add(1, Ordering::Relaxed);
        if let Err(unsent) = lane.sender.try_send(client) {
            lane.in_transit.fetch_sub(1, Ordering::Relaxed);
            self.loads[receiver_core] = None;
            return Some(unsent.into_inner());
        }
        self.loads[receiver_core] = self.loads[receiver_core].map(|load| load + 1);
        if !self.to_wake.contains(&receiver_core) {
            self.to_wake.push(receiver_core);
        }
        None
    }

    /// Wakes those whom something was moved to.
    pub(crate) fn wake_receivers(&mut self) {
        for core in self.to_wake.drain(..) {
            self.lanes.by_core[core].waker.wake();
        }
    }

    /// A connection that was moved to this core. [`Self::note_received`] has to follow once it is
    /// counted.
    pub(crate) fn receive(&self) -> Option<NewClient> {
        self.own_lane().receiver.try_recv().ok()
    }

    /// What was taken is counted among this core's connections.
    pub(crate) fn note_received(&self) {
        self.own_lane().in_transit.fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections on their way, to all cores together.
    pub(crate) fn in_transit(&self) -> usize {
        self.lanes.by_core.iter().map(|lane| lane.in_transit.load(Ordering::Relaxed)).sum()
    }

    /// Says that this core moves nothing any more.
    pub(crate) fn stop_moving(&mut self) {
        self.wake_receivers();
        if std::mem::take(&mut self.may_move) {
            // What this core moved is in the queues for everybody who reads the 0.
            let senders = self.lanes.senders.fetch_sub(1, Ordering::AcqRel) - 1;
            if senders == 0 {
                self.lanes.by_core.iter().for_each(|lane| lane.waker.wake());
            }
        }
    }

    /// Whether nothing can come any more.
    pub(crate) fn is_over(&self) -> bool {
        // In this order: what is moved comes before the 0.
        self.lanes.senders.load(Ordering::Acquire) == 0 && self.own_lane().receiver.is_empty()
    }

    fn own_lane(&self) -> &Lane {
        &self.lanes.by_core[self.core]
    }
}

/// Who had better serve one more connection than a core that has `own`, which is among `loads`.
fn lighter_core(loads: &[Option<u64>], own: u64) -> Option<usize> {
    let open = || loads.iter().enumerate().filter_map(|(core, load)| Some((core, (*load)?)));
    let (lightest, least) = open().min_by_key(|&(_, load)| load)?;
    if own <= least + LEAD_MAX {
        return None;
    }
    let (cores, total) = open().fold((0, 1), |(cores, sum), (_, load)| (cores + 1, sum + load));
    ((own + 1) * cores * 100 > total * PERCENT_OF_MEAN_MAX).then_some(lightest)
}

#[cfg(test)]
mod tests;
