//! Attempts to connect to targets.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use exchange::Reporter;

use crate::flow::{Key, Side};
use crate::selection::local_target::LocalTarget;
use crate::selection::source_addresses::{Source, Sources, is_about_the_source};
use crate::settings::Settings;
use crate::sys::Kind;
use crate::worker::connection::ConnectAttempt;
use crate::worker::core::timers::EqualTimers;
use crate::worker::core::{Core, is_cancellation};

/// Each core's log lines about ports come no faster than this.
const PORTS_LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Makes connects, bounds their time and tells the control plane of those that fail.
pub(in crate::worker) struct Connector {
    sources: Sources,
    timeout: Duration,
    timers: EqualTimers,
    reporter: Reporter,
    /// When a line about ports that have run out was written last.
    ports_logged: Option<Instant>,
}

/// Why a target is not being connected. It was added to those tried.
pub(in crate::worker) enum NoConnect {
    /// Every local port towards it is taken.
    NoPort,
    /// There is no socket to connect any target with: of no target's doing.
    NoSocket(io::Error),
}

/// What a connect came to.
pub(in crate::worker) enum ConnectEnd {
    Reached(Rc<LocalTarget>),
    /// It failed, or was ended for some reason.
    Failed,
    /// There was no local port: nothing is held against the target, which has heard of none of it.
    NoPort(Rc<LocalTarget>),
}

impl Connector {
    pub(in crate::worker) fn new(settings: &Settings, reporter: Reporter) -> Self {
        Self {
            sources: settings.sources.clone(),
            timeout: settings.connect_timeout,
            timers: EqualTimers::new(settings.connect_timeout),
            reporter,
            ports_logged: None,
        }
    }

    /// When there is something to do without anything having happened.
    pub(in crate::worker) fn due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Tells the control plane of what has failed.
    pub(in crate::worker) fn flush_reports(&mut self) {
        self.reporter.flush();
    }

    /// Connects this target from the next source that has a port left. `prepare` sees the socket
    /// first.
    pub(in crate::worker) fn start(
        &mut self,
        core: &mut Core,
        key: Key,
        target: Rc<LocalTarget>,
        prepare: impl Fn(&OwnedFd),
    ) -> Result<(), NoConnect> {
        let result = self.socket_to(core, &target);
        let Core { ring, connections, now, .. } = core;
        let connection = connections.get_mut(key).expect("a session asks for its connects");
        let (socket, source) = match result {
            Ok(socket) => socket,
            Err(reason) => {
                connection.upstream.skip(target);
                return Err(reason);
            }
        };
        prepare(&socket);
        ring.connect(key, &socket, target.socket_address());
        let due = *now + self.timeout;
        let attempt = ConnectAttempt { due, is_cancelled: false, is_revoked: false, source };
        connection.start_connect(target, socket, attempt);
        self.timers.start(*now, key, |key| {
            connections.get_mut(key).is_none_or(|it| it.upstream.connect().is_none())
        });
        Ok(())
    }

    /// A socket bound to the next source, of those that may have a port left towards the target.
    fn socket_to(
        &mut self,
        core: &Core,
        target: &LocalTarget,
    ) -> Result<(OwnedFd, Source), NoConnect> {
        let address = target.address();
        let count = self.sources.count(address.ip());
        while let Some(source) = target.ports().next_source(count, core.now) {
            match self.sources.socket(address, source) {
                Ok(socket) => return Ok((socket, source)),
                Err(error) if is_about_the_source(&error) => {
                    self.note_source(core, target, source, &error);
                }
                Err(error) => return Err(NoConnect::NoSocket(error)),
            }
        }
        Err(NoConnect::NoPort)
    }

    /// Notes that a target cannot be connected to from `source` for now.
    fn note_source(
        &mut self,
        core: &Core,
        target: &LocalTarget,
        source: Source,
        error: &io::Error,
    ) {
        target.ports().note_exhausted(source, core.now);
        core.count(target.service()).connects.without_port.increment();
        let since = |at| core.now.saturating_duration_since(at);
        if self.ports_logged.is_none_or(|at| since(at) >= PORTS_LOG_INTERVAL) {
            self.ports_logged = Some(core.now);
            let own = self.sources.name(target.address().ip(), source);
            log::warn!(
                "no local port towards {} is left{own} ({error}); more SOURCE_ADDRESSES, a wider \
                 net.ipv4.ip_local_port_range or more targets help",
                target.address()
            );
        }
    }

    /// Ends a connect because the client is gone.
    pub(in crate::worker) fn cancel(core: &mut Core, key: Key) {
        if let Some(attempt) = core.connection(key).and_then(|it| it.upstream.connect()) {
            attempt.is_cancelled = true;
            core.ring.cancel(Kind::Connect, key, Side::Target);
        }
    }

    /// Ends a connect because its target is not to be used any more: whether there is one.
    pub(in crate::worker) fn revoke(core: &mut Core, key: Key) -> bool {
        let attempt = core.connection(key).and_then(|it| it.upstream.connect());
        let Some(attempt) = attempt else { return false };
        if !std::mem::replace(&mut attempt.is_revoked, true) {
            core.ring.cancel(Kind::Connect, key, Side::Target);
        }
        true
    }

    /// Ends connects that have taken too long.
    pub(in crate::worker) fn end_overdue(&mut self, core: &mut Core) {
        while let Some(key) = self.timers.pop_due(core.now) {
            // The timer may be that of an earlier connect for the same client.
            let attempt = core.connection(key).and_then(|it| it.upstream.connect().copied());
            if attempt.is_some_and(|attempt| attempt.due <= core.now) {
                core.ring.cancel(Kind::Connect, key, Side::Target);
            }
        }
    }

    /// The end of a connect; `None` if nothing waits for it.
    pub(in crate::worker) fn note_end(
        &mut self,
        core: &mut Core,
        key: Key,
        result: io::Result<()>,
    ) -> Option<ConnectEnd> {
        let connection = core.connection(key)?;
        let attempt = *connection.upstream.connect()?;
        let target = Rc::clone(connection.upstream.target()?);
        // Also one that began by an older snapshot, and one that succeeded in the meantime.
        if attempt.is_revoked || target.status().reset().is_some() {
            connection.upstream.revoked();
            if let Some(socket) = connection.sockets.take(Side::Target) {
                core.ring.close(socket);
            }
            return Some(ConnectEnd::Failed);
        }
        let error = match result {
            Ok(()) => {
                connection.upstream.reached();
                self.note_duration(core, &target, attempt);
                target.reached();
                return Some(ConnectEnd::Reached(target));
            }
            Err(error) => error,
        };
        // At once: the next socket is made before the ring would close this one.
        drop(connection.sockets.take(Side::Target));
        if is_about_the_source(&error) && !attempt.is_cancelled {
            connection.upstream.undo();
            self.note_source(core, &target, attempt.source, &error);
            return Some(ConnectEnd::NoPort(target));
        }
        connection.upstream.failed();
        if !attempt.is_cancelled {
            core.count(target.service()).connects.failed.increment();
            // Only its timer cancels a connect whose client is there.
            let timed_out = is_cancellation(&error);
            let kind = if timed_out { io::ErrorKind::TimedOut } else { error.kind() };
            log::debug!("connecting {}: {kind}", target.address());
            self.reporter.report(target.failed(kind));
        }
        Some(ConnectEnd::Failed)
    }

    fn note_duration(&self, core: &Core, target: &LocalTarget, attempt: ConnectAttempt) {
        let began = attempt.due.checked_sub(self.timeout);
        let Some(duration) = began.and_then(|began| core.now.checked_duration_since(began)) else {
            return;
        };
        core.count(target.service()).connects.durations.note(duration);
        target.pool().borrow_mut().note_connect(duration);
    }
}
