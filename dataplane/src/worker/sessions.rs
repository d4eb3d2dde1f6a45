//! All sessions of a core: feeds them events, and has components perform what they ask for.

mod admitter;
mod connector;
mod preconnector;
mod proxy_headers;
mod router;
mod routers;
mod session_io;

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use exchange::{Rejection, ServiceIndex};

use crate::flow::{AbortReason, Key, Piece};
use crate::selection::choice::Choice;
use crate::selection::local_target::LocalTarget;
use crate::session::{Event, HeaderProgress, Op, Preconnect, Session};
use crate::sys::Completion;
use crate::worker::connection::{AcceptedClient, Connection, NewClient};
use crate::worker::core::Core;
pub(super) use admitter::Admitter;
pub(super) use connector::Connector;
use connector::{ConnectEnd, NoConnect};
pub(super) use preconnector::Preconnector;
use proxy_headers::HeaderInput;
pub(super) use proxy_headers::ProxyHeaders;
use router::{NextHop, Placement};
pub(super) use routers::Routers;
pub(super) use session_io::{SessionIo, bound};

/// A core's sessions and the components that serve them. These own their state and know nothing of
/// each other: this lends them the [`Core`] and carries what one says to the next.
pub(super) struct Sessions {
    pub(super) core: Core,
    pub(super) admitter: Admitter,
    pub(super) proxy_headers: ProxyHeaders,
    pub(super) routers: Routers,
    pub(super) connector: Connector,
    pub(super) preconnector: Preconnector,
    pub(super) io: SessionIo,
    /// Reused from event to event.
    pub(super) ops: Vec<Op>,
    /// Descriptors have run out: why, until somebody asks.
    pub(super) shortage: Option<io::Error>,
    /// A connection has ended since somebody asked.
    pub(super) has_room: bool,
}

impl Sessions {
    /// When there is something to do without anything having happened.
    pub(super) fn due(&self) -> Option<Instant> {
        let timers = [
            self.connector.due(),
            self.proxy_headers.due(),
            self.io.due(),
            self.preconnector.due(),
        ];
        timers.into_iter().flatten().min()
    }

    /// Handles a completion that is about a session.
    pub(super) fn handle(&mut self, completion: Completion) {
        if let Completion::Connected { key, result } = completion {
            return self.handle_connected(key, result);
        }
        match self.io.note(&mut self.core, completion) {
            Some((key, event)) if self.proxy_headers.are_expected() => {
                self.handle_header_input(key, event);
            }
            Some((key, event)) => self.feed(key, event),
            None => {}
        }
    }

    /// Serves a client that was accepted, or turns it away.
    pub(super) fn admit(&mut self, client: NewClient) {
        let needs_address = self.routers.of(client.service).needs_address();
        let admitted = self.admitter.admit(&mut self.core, client, needs_address);
        let Some((client, origin)) = admitted else { return };
        self.core.count(client.service).connections.active.increment();
        self.io.pressure().bound_if_high(&client.socket);
        let header = self.proxy_headers.exchange_of(&client);
        let (activity, accepted_ms) = (self.core.new_activity(), self.core.clock_ms(self.core.now));
        let NewClient { service, socket } = client;
        let client = AcceptedClient { service, socket, origin, header, activity, accepted_ms };
        if self.proxy_headers.are_expected() {
            let session = Session::awaiting_proxy_header(&mut self.ops);
            let key = self.core.connections.insert(Connection::new(session, client));
            self.proxy_headers.start_timer(&mut self.core, key);
            return self.perform_all(key);
        }
        match self.place(service, client.address()) {
            Placement::Preconnected(key) => self.serve_preconnected(key, client, None),
            placement => {
                let session = Session::accepted(&mut self.ops);
                let mut connection = Connection::new(session, client);
                if let Placement::Connect(choice) = placement {
                    connection.upstream.choose(choice);
                }
                let key = self.core.connections.insert(connection);
                self.perform_all(key);
            }
        }
    }

    /// Makes the connections that clients have left wanting.
    pub(super) fn fill_pools(&mut self) {
        if !self.preconnector.is_wanted() {
            return;
        }
        for target in self.preconnector.take_lacking(&self.core) {
            self.preconnect(&target);
        }
    }

    /// Does what is due by now, and what waits for buffers.
    pub(super) fn maintain(&mut self) {
        self.connector.flush_reports();
        self.connector.end_overdue(&mut self.core);
        while let Some(key) = self.proxy_headers.take_overdue(&mut self.core) {
            self.admitter.note_refusal(&mut self.core, key, Rejection::ProxyHeaderLate);
            self.feed(key, Event::Refused);
        }
        while let Some((key, event)) = self.io.take_due(&mut self.core) {
            self.feed(key, event);
        }
    }

    /// Lets go of what has waited for a client for too long, and lets receives go on for which there
    /// are buffers again.
    pub(super) fn maintain_memory(&mut self) {
        if self.io.is_starved() {
            self.preconnector.note_shortage(self.core.now);
        }
        if self.preconnector.is_due(self.core.now) {
            let changes = self.preconnector.look(&self.core);
            self.give_up(changes.unwanted);
            changes.lacking.into_iter().for_each(|target| self.preconnect(&target));
        }
        for (key, from) in self.io.take_fed(&mut self.core) {
            self.feed(key, Event::ReceiveStopped { from });
        }
    }

    /// Takes over what is new of the targets, if anything is.
    pub(super) fn take_snapshots(&mut self) {
        while let Some(service) = self.routers.take_snapshot() {
            let unwanted = self.preconnector.take_out_of_use();
            self.give_up(unwanted);
            let router = self.routers.of(service);
            for (key, reason) in router.connections_to_reset(&mut self.core) {
                if !Connector::revoke(&mut self.core, key) {
                    self.abort(key, reason);
                }
            }
            for key in self.routers.of(service).take_waiting() {
                if let Some(event) = self.connect(key) {
                    self.feed(key, event);
                }
            }
        }
    }

    /// Lets go of connections that no client is going to come for.
    pub(super) fn give_up(&mut self, unwanted: Vec<Key>) {
        for key in unwanted {
            let connection = self.core.connection(key);
            if connection.is_some_and(|it| it.session.close_reason().is_none()) {
                self.feed(key, Event::Unwanted);
            }
        }
    }

    /// Ends a session by resets, unless it is ending: whether it was not.
    pub(super) fn abort(&mut self, key: Key, reason: AbortReason) -> bool {
        let connection = self.core.connection(key);
        let is_alive = connection.is_some_and(|it| it.session.close_reason().is_none());
        if is_alive {
            self.feed(key, Event::Abort(reason));
        }
        is_alive
    }

    /// Gives an event to a session and performs the operations that follow.
    pub(super) fn feed(&mut self, key: Key, event: Event) {
        if let Some(connection) = self.core.connections.get_mut(key) {
            connection.session.handle(event, &mut self.ops);
            self.perform_all(key);
        } else {
            // A session ends only when nothing of it is in flight.
            debug_assert!(false, "{event:?} for a session that is over");
            if let Event::Received { piece, .. } = event {
                self.core.ring.buffers().recycle(piece.buffer);
            }
        }
    }

    /// Performs all operations asked for, and those that follow from events that come at once.
    fn perform_all(&mut self, key: Key) {
        let mut next = 0;
        while let Some(&op) = self.ops.get(next) {
            next += 1;
            let event = match op {
                Op::Connect => self.connect(key),
                Op::CancelConnect if self.routers.forget_waiting(&mut self.core, key) => {
                    Some(Event::ConnectFailed)
                }
                Op::CancelConnect => {
                    Connector::cancel(&mut self.core, key);
                    None
                }
                Op::Finish => {
                    self.finish(key);
                    None
                }
                op => self.io.perform(&mut self.core, key, op),
            };
            if let (Some(event), Some(connection)) = (event, self.core.connection(key)) {
                connection.session.handle(event, &mut self.ops);
            }
        }
        self.ops.clear();
    }

    /// Decides where a client goes.
    fn place(&mut self, service: ServiceIndex, client: Option<SocketAddr>) -> Placement {
        let Some(choice) = self.routers.of(service).choose(client, self.core.now) else {
            return Placement::Wait;
        };
        if let Choice::Connect(target) = &choice
            && let Some(key) = self.preconnector.claim(&mut self.core, target)
        {
            return Placement::Preconnected(key);
        }
        Placement::Connect(choice)
    }

    /// Gives a connection that waited for a client to this one, which may have said something.
    fn serve_preconnected(&mut self, key: Key, client: AcceptedClient, payload: Option<Piece>) {
        Preconnector::give(&mut self.core, key, client);
        match self.proxy_headers.write(&mut self.core, key) {
            Ok(header) => {
                if let Some(piece) = header {
                    self.feed(key, Event::HeaderForTarget { piece });
                }
                self.feed(key, Event::ClientArrived { payload });
            }
            Err(reason) => {
                if let Some(piece) = payload {
                    self.core.ring.buffers().recycle(piece.buffer);
                }
                self.feed(key, Event::ClientArrived { payload: None });
                self.feed(key, Event::Abort(reason));
            }
        }
    }

    fn handle_header_input(&mut self, key: Key, event: Event) {
        let (event, reason) = match self.proxy_headers.read(&mut self.core, key, event) {
            HeaderInput::Event(event) => return self.feed(key, event),
            HeaderInput::Refused(event, reason) => (event, reason),
            HeaderInput::Complete { piece, source, more } => {
                match self.admitter.admit_named(&mut self.core, key, source) {
                    Ok(()) => return self.place_named(key, piece, more),
                    Err(reason) => {
                        let progress = HeaderProgress::Refused;
                        (Event::ProxyHeader { piece, progress, more }, reason)
                    }
                }
            }
        };
        self.admitter.note_refusal(&mut self.core, key, reason);
        self.feed(key, event);
    }

    /// Serves a client whose header is complete; `piece` is what followed it.
    fn place_named(&mut self, key: Key, piece: Piece, more: bool) {
        let client = self.core.connection(key).map(|it| (it.service(), it.client_address()));
        let placement = match client {
            // While its receive goes on, its session is needed.
            Some((service, client)) if !more => self.place(service, client),
            _ => Placement::Wait,
        };
        match placement {
            Placement::Preconnected(preconnected) => {
                let connection = self.core.connections.remove(key);
                let Some(client) = connection.and_then(Connection::into_client) else { return };
                let has_payload = piece.len() > 0;
                if !has_payload {
                    self.core.ring.buffers().recycle(piece.buffer);
                }
                let payload = has_payload.then_some(piece);
                return self.serve_preconnected(preconnected, client, payload);
            }
            Placement::Connect(choice) => {
                if let Some(connection) = self.core.connection(key) {
                    connection.upstream.choose(choice);
                }
            }
            Placement::Wait => {}
        }
        self.feed(key, Event::ProxyHeader { piece, progress: HeaderProgress::Complete, more });
    }

    /// Connects a target that was not tried for this client before.
    fn connect(&mut self, key: Key) -> Option<Event> {
        if let Some(lost) = self.core.connection(key)?.upstream.close() {
            // It was preconnected, and its target ended it when a client had just got it.
            lost.pool().borrow_mut().note_lost();
            lost.load().ended(false);
        }
        loop {
            let target = match self.routers.next_hop(&mut self.core, key) {
                NextHop::Target(target) => target,
                NextHop::None => return Some(Event::NoTarget),
                NextHop::Later => return None,
            };
            match self.start_connect(key, target) {
                Ok(()) => return None,
                Err(NoConnect::NoPort) if !self.awaits_client(key) => {}
                Err(_) => return Some(Event::NoTarget),
            }
        }
    }

    fn start_connect(&mut self, key: Key, target: Rc<LocalTarget>) -> Result<(), NoConnect> {
        let pressure = self.io.pressure();
        let prepare = |socket: &OwnedFd| pressure.bound_if_high(socket);
        let result = self.connector.start(&mut self.core, key, target, prepare);
        if let Err(NoConnect::NoSocket(error)) = &result {
            // Leaves what there is of descriptors to the clients that are there.
            self.preconnector.note_shortage(self.core.now);
            if !self.awaits_client(key) {
                // Accepting stops early enough for this not to happen, unless others use them up.
                self.shortage = Some(io::Error::new(error.kind(), format!("socket: {error}")));
            }
        }
        result
    }

    fn awaits_client(&mut self, key: Key) -> bool {
        self.core.connection(key).is_some_and(|it| it.session.awaits_client())
    }

    fn handle_connected(&mut self, key: Key, result: io::Result<()>) {
        match self.connector.note_end(&mut self.core, key, result) {
            Some(ConnectEnd::Reached(target)) => self.handle_reached(key, &target),
            Some(ConnectEnd::Failed) => self.feed(key, Event::ConnectFailed),
            Some(ConnectEnd::NoPort(target)) => {
                let event = match self.start_connect(key, target) {
                    Ok(()) => None,
                    Err(NoConnect::NoPort) => self.connect(key),
                    Err(NoConnect::NoSocket(_)) => Some(Event::NoTarget),
                };
                if let Some(event) = event {
                    self.feed(key, event);
                }
            }
            None => {}
        }
    }

    fn handle_reached(&mut self, key: Key, target: &LocalTarget) {
        let state = self.core.connection(key).map(|it| it.session.preconnect());
        if state == Some(Preconnect::Unclaimed) {
            self.feed(key, Event::Connected);
            return Preconnector::note_ready(&mut self.core, key, target);
        }
        if state != Some(Preconnect::Replaced) {
            target.count_client(self.core.count(target.service()));
        }
        match self.proxy_headers.write(&mut self.core, key) {
            Ok(Some(piece)) => self.feed(key, Event::HeaderForTarget { piece }),
            Ok(None) => {}
            Err(reason) => self.feed(key, Event::Abort(reason)),
        }
        self.feed(key, Event::Connected);
    }

    fn preconnect(&mut self, target: &Rc<LocalTarget>) {
        let session = Session::preconnected(&mut self.ops);
        let key = Preconnector::begin(&mut self.core, session, target);
        self.perform_all(key);
    }

    fn finish(&mut self, key: Key) {
        let Some(connection) = self.core.connections.remove(key) else { return };
        if connection.session.awaits_client() {
            Preconnector::note_finished(&self.core, key, &connection);
        }
        let count = self.core.count(connection.service());
        connection.finish(self.core.now, count);
        self.has_room = true;
    }
}
