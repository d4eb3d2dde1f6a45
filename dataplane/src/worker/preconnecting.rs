//! Connections that are connected before there is a client for them.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::CoreCounters;

use super::Worker;
use crate::flow::Key;
use crate::flow::Piece;
use crate::selection::choice::{Choice, Tried};
use crate::selection::local_target::{LastConnect, LocalTarget};
use crate::session::{Ending, Event, Session};
use crate::worker::connection::Connection;
use crate::worker::idle_scan::activity::Idle;

/// How often pools are looked at that no client comes for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// For how long nothing is preconnected after descriptors or buffers have run out.
const SHORTAGE_REST: Duration = Duration::from_secs(1);

/// What a core keeps of its pools beside the pools themselves, which the targets have.
#[derive(Debug)]
pub(super) struct Pooling {
    is_on: bool,
    /// Those that had a connection when last looked at.
    targets: Vec<Rc<LocalTarget>>,
    look_due: Instant,
    /// Whose clients came in this turn.
    wanted: Vec<Rc<LocalTarget>>,
    /// Where the client goes whose session is about to ask for its first connect.
    choice: Option<Choice>,
    /// Others need what the pools take.
    is_unaffordable: bool,
    /// Nothing is connected before.
    rests_until: Instant,
}

impl Pooling {
    pub(super) fn new(is_on: bool, now: Instant) -> Self {
        Self {
            is_on,
            targets: Vec::new(),
            look_due: now,
            wanted: Vec::new(),
            choice: None,
            is_unaffordable: false,
            rests_until: now,
        }
    }

    /// When there is something to do without anything having happened.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.targets.is_empty()).then_some(self.look_due)
    }

    /// The choice that was made when no connection was there for a client.
    pub(super) fn take_choice(&mut self) -> Option<Choice> {
        self.choice.take()
    }

    /// Descriptors or buffers have run out.
    pub(super) fn note_shortage(&mut self, now: Instant) {
        self.is_unaffordable = true;
        self.rests_until = now + SHORTAGE_REST;
    }
}

impl Worker {
    /// Chooses a target for a client; a connection to it that waits for one. If there is none, the
    /// connect that follows goes to that target.
    pub(super) fn claim(&mut self, client: Option<SocketAddr>) -> Option<Key> {
        if !self.pooling.is_on || !self.targets.admits() {
            return None;
        }
        let client = self.settings.balance.client_key(client);
        let tried = Tried::default();
        let choice = self.chooser.choose(&self.targets, client, &tried, self.now);
        let mut claimed = None;
        if let Choice::Connect(target) = &choice {
            let connections = &mut self.connections;
            claimed = target.pool().borrow_mut().claim(self.now, |key| {
                connections.get_mut(key).is_some_and(|it| it.session.is_ready_for_client())
            });
            self.pooling.wanted.push(Rc::clone(target));
            let count = self.count();
            let which =
                if claimed.is_some() { &count.preconnect.hits } else { &count.preconnect.misses };
            which.increment();
        }
        if claimed.is_none() {
            self.pooling.choice = Some(choice);
        }
        claimed
    }

    /// Gives a connection that waited for a client to this one, which may have said something.
    pub(super) fn hand_over(&mut self, key: Key, client: Connection, payload: Option<Piece>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.adopt(client);
        let target = connection.chosen().cloned();
        self.count().preconnect.waiting.decrement();
        if let Some(target) = target {
            self.count_success(&target);
        }
        let connects_max = self.connects_max();
        match self.write_header(key) {
            Ok(header) => {
                if let Some(piece) = header {
                    self.feed(key, Event::Header { piece });
                }
                self.feed(key, Event::ClientArrived { payload, connects_max });
            }
            Err(cause) => {
                if let Some(piece) = payload {
                    self.ring.recycle(piece.buffer);
                }
                self.feed(key, Event::ClientArrived { payload: None, connects_max });
                self.feed(key, Event::Abort(cause));
            }
        }
    }

    /// Serves a client whose header is complete by a connection that waited for one, if there is
    /// one: whether it did. `piece` is what followed the header.
    pub(super) fn serve_introduced(&mut self, key: Key, piece: Piece) -> bool {
        let client = self.connections.get_mut(key).and_then(|it| it.client_address());
        let Some(ahead) = self.claim(client) else { return false };
        // Its session has no operation in flight between two receives of the header.
        let Some(client) = self.connections.remove(key) else { return false };
        let has_payload = piece.len() > 0;
        if !has_payload {
            self.ring.recycle(piece.buffer);
        }
        self.hand_over(ahead, client, has_payload.then_some(piece));
        true
    }

    /// A connection that waits for its client is there now.
    pub(super) fn add_to_pool(&mut self, key: Key, target: &LocalTarget) {
        self.feed(key, Event::Connected);
        let connection = self.connections.get_mut(key);
        if connection.is_some_and(|it| it.session.is_ready_for_client()) {
            target.pool().borrow_mut().note_ready(key, self.now);
        }
    }

    /// A connection has ended that no client came for.
    pub(super) fn finish_ahead(&mut self, key: Key, connection: Connection) {
        let ending = connection.session.ending();
        let count = self.count();
        count.preconnect.waiting.decrement();
        match ending {
            Some(Ending::Broken) => count.preconnect.broken.increment(),
            Some(Ending::NoTarget) | None => (),
            Some(_) => count.preconnect.expired.increment(),
        }
        if let Some(target) = connection.target_ahead() {
            let by_target = ending == Some(Ending::Broken);
            target.pool().borrow_mut().note_gone(key, self.now, by_target);
        }
        connection.finish(self.now, false);
        self.accepting.note_room(self.now);
    }

    /// Connects what the clients of this turn have left wanting.
    pub(super) fn fill_pools(&mut self) {
        if self.pooling.wanted.is_empty() {
            return;
        }
        let mut wanted = std::mem::take(&mut self.pooling.wanted);
        for target in wanted.drain(..) {
            if self.fill_pool(&target) > 0
                && !self.pooling.targets.iter().any(|it| Rc::ptr_eq(it, &target))
            {
                if self.pooling.targets.is_empty() {
                    self.pooling.look_due = self.now + LOOK_INTERVAL;
                }
                self.pooling.targets.push(target);
            }
        }
        self.pooling.wanted = wanted;
    }

    /// How many connections to the target are connected now.
    fn fill_pool(&mut self, target: &Rc<LocalTarget>) -> usize {
        // A target that is down is not found out about here.
        let is_sound =
            target.may_be_preconnected() && target.last_connect() == LastConnect::Reached;
        let rests = !self.pooling.is_on || self.now < self.pooling.rests_until;
        if rests || !is_sound {
            return 0;
        }
        let lacking = target.pool().borrow().lacking(self.now);
        if lacking == 0 {
            return 0;
        }
        let connected = lacking.min(self.room_ahead());
        (0..connected).for_each(|_| self.preconnect(target));
        connected
    }

    fn preconnect(&mut self, target: &Rc<LocalTarget>) {
        let session = Session::ahead(&mut self.ops);
        let idle = Idle::new(self.sweep.clock_ms(self.now));
        let connection = Connection::ahead(session, Rc::clone(target), idle);
        let key = self.connections.insert(connection);
        self.count().preconnect.waiting.increment();
        target.pool().borrow_mut().note_connecting(key);
        self.perform_all(key);
    }

    /// Lets go of what has waited for too long, or is needed elsewhere.
    pub(super) fn keep_pools(&mut self) {
        if std::mem::take(&mut self.pooling.is_unaffordable) {
            self.empty_pools(|_| true);
        }
        if self.pooling.targets.is_empty() || self.now < self.pooling.look_due {
            return;
        }
        self.pooling.look_due = self.now + LOOK_INTERVAL;
        if self.is_short_of_room() {
            self.empty_pools(|_| true);
        }
        let mut targets = std::mem::take(&mut self.pooling.targets);
        targets.retain(|target| {
            loop {
                let expired = target.pool().borrow_mut().take_expired(self.now);
                let Some(key) = expired else { break };
                self.give_up(key);
            }
            self.fill_pool(target) > 0 || target.pool().borrow().len() > 0
        });
        self.pooling.targets = targets;
    }

    /// Lets go of all connections to targets that are not to be used, or have become others.
    pub(super) fn empty_pools_out_of_use(&mut self) {
        self.empty_pools(|target| !target.may_be_preconnected());
    }

    /// No client comes any more.
    pub(super) fn close_pools(&mut self) {
        self.pooling.is_on = false;
        self.empty_pools(|_| true);
    }

    fn empty_pools(&mut self, is_affected: impl Fn(&LocalTarget) -> bool) {
        let targets = std::mem::take(&mut self.pooling.targets);
        for target in targets.iter().filter(|target| is_affected(target)) {
            let keys = target.pool().borrow_mut().take_all();
            for key in keys {
                self.give_up(key);
            }
        }
        self.pooling.targets = targets;
    }

    fn give_up(&mut self, key: Key) {
        let connection = self.connections.get_mut(key);
        if connection.is_some_and(|it| it.session.ending().is_none()) {
            self.feed(key, Event::Unwanted);
        }
    }

    /// How many more connections may wait for clients: the second half is for clients only.
    fn room_ahead(&self) -> usize {
        (self.settings.connections_max / 2).saturating_sub(self.open_and_pooled())
    }

    /// Whether clients are going to need the descriptors soon that pools take.
    fn is_short_of_room(&self) -> bool {
        self.open_and_pooled() >= self.settings.connections_max / 4 * 3
    }

    /// Connections of all cores, those that wait for clients among them.
    pub(super) fn open_and_pooled(&self) -> usize {
        let of =
            |core: &CoreCounters| core.connections.active.get() + core.preconnect.waiting.get();
        usize::try_from(self.counters.iter().map(of).sum::<u64>()).unwrap_or(usize::MAX)
    }
}
