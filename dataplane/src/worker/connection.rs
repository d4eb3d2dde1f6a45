use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::RebalanceClose;
use log::kv::Value;
use socket2::SockRef;

use crate::flow::{AbortReason, Side};
use crate::limits::Permit;
use crate::proxy_header::exchange::Introduction;
use crate::selection::choice::Tried;
use crate::selection::local_target::LocalTarget;
use crate::selection::sources::Source;
use crate::session::{Ending, Session};
use crate::sys::pipes::Pipe;
use crate::worker::idle_scan::activity::Idle;

/// A session together with what it stands for: its descriptors and its target.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    client: Option<OwnedFd>,
    /// `None` if nothing depends on it.
    origin: Option<Box<Origin>>,
    /// The connection to the target, also while it is being connected.
    target: Option<OwnedFd>,
    /// By the side they go to.
    pipes: [Option<Draining>; 2],
    is_nonblocking: bool,
    pub(crate) connect: Option<Connect>,
    /// Until a target was connected to, where PROXY protocol headers are in use.
    pub(crate) introduction: Option<Box<Introduction>>,
    chosen: Option<Rc<LocalTarget>>,
    tried: Tried,
    pub(crate) idle: Idle,
    /// The kernel was told to find out when a peer is gone.
    pub(crate) is_watched_over: bool,
    /// What it may make the kernel hold is bounded.
    pub(crate) is_bounded: bool,
    /// By side: nothing was received from it when it was last looked at.
    pub(crate) is_held_up: [bool; 2],
    /// When it was accepted, on the sweep's clock.
    pub(crate) accepted_ms: u32,
    /// Held while it makes room for others. The last field: dropped when it counts no more.
    pub(crate) leaving: Option<RebalanceClose>,
}

/// Where and when a connection came from, and its place within the limits.
#[derive(Debug)]
pub(crate) struct Origin {
    /// Never IPv4-mapped; `None` if nothing depends on it.
    pub(crate) client: Option<SocketAddr>,
    pub(crate) accepted: Instant,
    /// Given back at the end; `None` as long as it is not known who the client is.
    pub(crate) permit: Option<Permit>,
}

/// A pipe with something in it.
#[derive(Debug)]
pub(crate) struct Draining {
    pub(crate) pipe: Pipe,
    pub(crate) bytes: usize,
}

/// A connect in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connect {
    pub(crate) due: Instant,
    /// It is being ended because the client is gone: says nothing about the target.
    pub(crate) cancelled: bool,
    /// It is being ended because the target is not to be used any more: another is tried.
    pub(crate) revoked: bool,
    pub(crate) source: Source,
}

impl Connection {
    pub(crate) fn new(
        session: Session,
        client: OwnedFd,
        origin: Option<Origin>,
        idle: Idle,
    ) -> Self {
        let origin = origin.map(Box::new);
        Self { client: Some(client), origin, ..Self::of_nobody(session, idle) }
    }

    /// A connection to `target` that is to wait for its client.
    pub(crate) fn ahead(session: Session, target: Rc<LocalTarget>, idle: Idle) -> Self {
        Self { chosen: Some(target), ..Self::of_nobody(session, idle) }
    }

    /// With neither a client nor a target yet.
    fn of_nobody(session: Session, idle: Idle) -> Self {
        Self {
            session,
            client: None,
            origin: None,
            target: None,
            pipes: [None, None],
            is_nonblocking: false,
            connect: None,
            introduction: None,
            chosen: None,
            tried: Tried::default(),
            idle,
            is_watched_over: false,
            is_bounded: false,
            is_held_up: [false; 2],
            accepted_ms: idle.moved_ms(),
            leaving: None,
        }
    }

    /// Who the client is; `None` if nothing depends on it.
    pub(crate) fn client_address(&self) -> Option<SocketAddr> {
        self.origin.as_ref().and_then(|origin| origin.client)
    }

    /// Notes that the client turned out to be at `address`.
    pub(crate) fn name(&mut self, address: SocketAddr) {
        // A client that says who it is has an origin: see `Worker::admit`.
        if let Some(origin) = &mut self.origin {
            origin.client = Some(address);
        }
    }

    /// Lets in a client of whom it was not known before who it is.
    pub(crate) fn admit(&mut self, permit: Permit) {
        if let Some(origin) = &mut self.origin {
            origin.permit = Some(permit);
        }
    }

    /// The target of a connection that waits for its client: for that it does not count as one.
    pub(crate) fn target_ahead(&self) -> Option<&Rc<LocalTarget>> {
        self.chosen.as_ref().filter(|_| self.session.awaits_client())
    }

    /// The wait is over, the session is about to be told: takes over everything of `client` but
    /// its session.
    pub(crate) fn adopt(&mut self, client: Self) {
        self.client = client.client;
        self.introduction = client.introduction;
        self.tried = client.tried;
        self.idle = client.idle;
        self.accepted_ms = client.accepted_ms;
        self.origin = client.origin;
        if let Some(target) = &self.chosen {
            target.opened();
        }
    }

    pub(crate) fn socket(&self, side: Side) -> Option<&OwnedFd> {
        match side {
            Side::Client => self.client.as_ref(),
            Side::Target => self.target.as_ref(),
        }
    }

    pub(crate) fn take_socket(&mut self, side: Side) -> Option<OwnedFd> {
        match side {
            Side::Client => self.client.take(),
            Side::Target => self.target.take(),
        }
    }

    /// Makes both sockets non-blocking, for splice(2). The ring's own operations don't mind.
    pub(crate) fn get_ready_to_splice(&mut self) {
        if !std::mem::replace(&mut self.is_nonblocking, true) {
            for socket in self.client.iter().chain(&self.target) {
                let _ = SockRef::from(socket).set_nonblocking(true);
            }
        }
    }

    /// Keeps a pipe with `bytes` in it that go to `to`; one that was there already comes back.
    pub(crate) fn start_draining(&mut self, to: Side, pipe: Pipe, bytes: usize) -> Option<Pipe> {
        let old = self.pipes[to as usize].replace(Draining { pipe, bytes });
        old.map(|old| old.pipe)
    }

    /// A side's socket and the pipe to it.
    pub(crate) fn draining(&mut self, to: Side) -> Option<(&OwnedFd, &mut Draining)> {
        let socket = match to {
            Side::Client => self.client.as_ref(),
            Side::Target => self.target.as_ref(),
        };
        socket.zip(self.pipes[to as usize].as_mut())
    }

    /// Lets go of the pipe to a side.
    pub(crate) fn stop_draining(&mut self, to: Side) -> Option<Draining> {
        self.pipes[to as usize].take()
    }

    /// The targets tried in vain so far.
    pub(crate) fn tried(&self) -> &Tried {
        &self.tried
    }

    pub(crate) fn chosen(&self) -> Option<&Rc<LocalTarget>> {
        self.chosen.as_ref()
    }

    pub(crate) fn start_connect(
        &mut self,
        target: Rc<LocalTarget>,
        socket: OwnedFd,
        connect: Connect,
    ) {
        if !self.session.awaits_client() {
            target.opened();
        }
        self.chosen = Some(target);
        // The walk has yet to see this socket, also where it takes the place of one that was lost.
        (self.is_watched_over, self.is_bounded) = (false, false);
        self.target = Some(socket);
        self.connect = Some(connect);
    }

    /// Notes that the connect never left this machine; its socket, to be closed.
    pub(crate) fn undo_connect(&mut self) -> Option<OwnedFd> {
        self.connect = None;
        drop(self.leave());
        self.target.take()
    }

    /// Notes that a target cannot be connected to from here.
    pub(crate) fn skip(&mut self, target: Rc<LocalTarget>) {
        self.tried.skip(target);
    }

    /// Notes that the connect failed; its socket, to be closed.
    pub(crate) fn fail_connect(&mut self) -> Option<OwnedFd> {
        self.connect = None;
        if let Some(target) = self.leave() {
            self.tried.add(target);
        }
        self.target.take()
    }

    /// Notes that the connect was revoked; its socket, to be closed.
    pub(crate) fn drop_revoked_connect(&mut self) -> Option<OwnedFd> {
        self.connect = None;
        if let Some(target) = self.leave() {
            self.tried.add_revoked(target);
        }
        self.target.take()
    }

    /// Gives the target back its place, if one was taken.
    pub(crate) fn leave(&mut self) -> Option<Rc<LocalTarget>> {
        if self.session.awaits_client() {
            return None;
        }
        let target = self.chosen.take()?;
        target.closed();
        Some(target)
    }

    /// The end: gives the target back its place; a log line if it is wanted.
    pub(crate) fn finish(mut self, now: Instant, is_logged: bool) {
        let target = self.leave();
        if let Some(target) = target.as_ref().filter(|_| self.session.is_connected()) {
            target.ended(!self.session.is_unanswered());
        }
        if is_logged && let Some(origin) = &self.origin {
            let target = target.map(|target| target.address());
            self.write_log(origin, target, now.saturating_duration_since(origin.accepted));
        }
    }

    fn write_log(&self, origin: &Origin, target: Option<SocketAddr>, duration: Duration) {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        log::info!(
            target: "connection",
            client = origin.client.as_ref().map(Value::from_display),
            target = target.as_ref().map(Value::from_display),
            end = self.session.ending().map(name_ending),
            duration_ms = millis,
            bytes_from_client = self.session.received_bytes(Side::Client),
            bytes_from_target = self.session.received_bytes(Side::Target),
            connects = self.tried.targets().len() + usize::from(target.is_some());
            "ended"
        );
    }
}

fn name_ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::ClientReset => "client_reset",
        Ending::TargetReset => "target_reset",
        Ending::NoTarget => "no_target",
        Ending::Refused => "refused",
        Ending::Rebalanced => "rebalanced",
        Ending::IdleTimeout => "idle_timeout",
        Ending::Stuck(Side::Client) => "client_timeout",
        Ending::Stuck(Side::Target) => "target_timeout",
        Ending::Aborted(AbortReason::Shutdown) => "shutdown",
        Ending::Aborted(AbortReason::TargetWithdrawn) => "target_withdrawn",
        Ending::Aborted(AbortReason::TargetUnhealthy) => "target_unhealthy",
        Ending::Aborted(AbortReason::NoBuffer) => "no_buffer",
        // Never logged: no client was there.
        Ending::GivenUp => "given_up",
        Ending::Broken => "broken",
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<super::Connection>() <= 360, "{}", size_of::<super::Connection>());
    }
}
