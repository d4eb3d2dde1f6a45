use std::rc::Rc;
use std::time::Instant;

use crate::selection::active_connection::ActiveConnection;
use crate::selection::choice::{Choice, Tried};
use crate::selection::local_target::LocalTarget;
use crate::selection::source_addresses::Source;

/// Where a connection leads, and what was tried before.
#[derive(Debug, Default)]
pub(in crate::worker) struct Upstream {
    way: Way,
    tried: Tried,
    connect: Option<ConnectAttempt>,
}

#[derive(Debug, Default)]
enum Way {
    /// It is to be chosen.
    #[default]
    Open,
    /// It was chosen before the session asked.
    Chosen(Choice),
    /// To this target, for a client that is yet to come: it does not count as a connection.
    Preconnected(Rc<LocalTarget>),
    Active(ActiveConnection),
}

/// A connect in flight.
#[derive(Clone, Copy, Debug)]
pub(in crate::worker) struct ConnectAttempt {
    pub(in crate::worker) due: Instant,
    /// It is being ended because the client is gone: says nothing about the target.
    pub(in crate::worker) is_cancelled: bool,
    /// It is being ended because the target is not to be used any more: another is tried.
    pub(in crate::worker) is_revoked: bool,
    pub(in crate::worker) source: Source,
}

impl Upstream {
    pub(super) fn preconnected(target: Rc<LocalTarget>) -> Self {
        Self { way: Way::Preconnected(target), ..Self::default() }
    }

    /// The first connect goes there.
    pub(in crate::worker) fn choose(&mut self, choice: Choice) {
        self.way = Way::Chosen(choice);
    }

    /// What was chosen for the connect that begins now.
    pub(in crate::worker) fn take_choice(&mut self) -> Option<Choice> {
        match std::mem::take(&mut self.way) {
            Way::Chosen(choice) => Some(choice),
            way => {
                self.way = way;
                None
            }
        }
    }

    /// The target that it leads to, also while that is being connected.
    pub(in crate::worker) fn target(&self) -> Option<&Rc<LocalTarget>> {
        match &self.way {
            Way::Open | Way::Chosen(_) => None,
            Way::Preconnected(target) => Some(target),
            Way::Active(connection) => Some(connection.target()),
        }
    }

    /// The target of a connection that waits for its client.
    pub(in crate::worker) fn preconnected_target(&self) -> Option<&Rc<LocalTarget>> {
        match &self.way {
            Way::Preconnected(target) => Some(target),
            _ => None,
        }
    }

    /// A client has come for the connection that waited for one.
    pub(super) fn claim(&mut self) {
        if let Way::Preconnected(target) = std::mem::take(&mut self.way) {
            self.way = Way::Active(ActiveConnection::open(target));
        }
    }

    /// The targets tried in vain so far.
    pub(in crate::worker) fn tried(&self) -> &Tried {
        &self.tried
    }

    /// The connect in flight.
    pub(in crate::worker) fn connect(&mut self) -> Option<&mut ConnectAttempt> {
        self.connect.as_mut()
    }

    pub(super) fn start(&mut self, target: Rc<LocalTarget>, attempt: ConnectAttempt) {
        self.connect = Some(attempt);
        if self.preconnected_target().is_none() {
            self.way = Way::Active(ActiveConnection::open(target));
        }
    }

    /// The target was reached.
    pub(in crate::worker) fn reached(&mut self) {
        self.connect = None;
    }

    /// The connect never left this machine.
    pub(in crate::worker) fn undo(&mut self) {
        self.connect = None;
        drop(self.close());
    }

    /// A target cannot be connected to from here.
    pub(in crate::worker) fn skip(&mut self, target: Rc<LocalTarget>) {
        self.tried.skip(target);
    }

    /// The connect failed.
    pub(in crate::worker) fn failed(&mut self) {
        self.connect = None;
        if let Some(target) = self.close() {
            self.tried.add(target);
        }
    }

    /// The connect was revoked.
    pub(in crate::worker) fn revoked(&mut self) {
        self.connect = None;
        if let Some(target) = self.close() {
            self.tried.add_revoked(target);
        }
    }

    /// Gives the target back its place, if one was taken: whose.
    pub(in crate::worker) fn close(&mut self) -> Option<Rc<LocalTarget>> {
        match std::mem::take(&mut self.way) {
            Way::Active(connection) => Some(Rc::clone(connection.target())),
            way => {
                self.way = way;
                None
            }
        }
    }
}
