//! Cores that have clearly fewer connections get new ones from those that have more.

use std::io;
use std::os::fd::OwnedFd;

use super::Worker;

impl Worker {
    /// Takes what a turn's accepts brought.
    pub(super) fn handle_all_accepted(&mut self, accepted: &mut Vec<(io::Result<OwnedFd>, bool)>) {
        if accepted.is_empty() {
            return;
        }
        self.handover.look(&self.counters);
        for (result, more) in accepted.drain(..) {
            self.handle_accepted(result, more);
        }
        self.handover.wake_takers();
    }

    /// Serves a client that was accepted, here or on another core.
    pub(super) fn place(&mut self, client: OwnedFd) {
        if !self.accepting.is_open() {
            return self.admit(client);
        }
        let own = self.count().connections.active.get();
        match self.handover.give(client, own) {
            Some(client) => self.admit(client),
            None => self.count().connections.moved.increment(),
        }
    }

    /// Serves the clients that other cores have handed over.
    pub(super) fn take_handed(&mut self) {
        while let Some(client) = self.handover.take() {
            self.admit(client);
            self.handover.note_taken();
        }
    }
}
