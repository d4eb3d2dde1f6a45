use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::{Worker, is_cancellation};
use crate::flow::Key;
use crate::selection::choice::Choice;
use crate::selection::local_target::LocalTarget;
use crate::selection::sources::{Source, is_about_the_source};
use crate::session::Event;
use crate::worker::connection::Connect;

/// Each core's log lines about ports come no faster than this.
const PORTS_LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Why a target is not being connected. It was added to those tried.
enum NoConnect {
    /// Every local port towards it is taken.
    NoPort,
    /// There is no socket to connect any target with: of no target's doing.
    NoSocket(io::Error),
}

impl Worker {
    /// Connects a target that was not tried for this client before.
    pub(super) fn connect(&mut self, key: Key) -> Option<Event> {
        if let Some(gone) = self.connections.get_mut(key)?.leave() {
            // It was preconnected, and its target ended it when a client had just got it.
            gone.pool().borrow_mut().note_lost();
            gone.ended(false);
        }
        loop {
            let connection = self.connections.get_mut(key)?;
            let ahead = connection.target_ahead().cloned();
            let is_ahead = ahead.is_some();
            if !is_ahead && !self.targets.admits() {
                self.waiting.push_back(key);
                return None;
            }
            let chosen = ahead.map(Choice::Connect).or_else(|| self.pooling.take_choice());
            let choice = chosen.unwrap_or_else(|| {
                let client = self.settings.balance.client_key(connection.client_address());
                self.chooser.choose(&self.targets, client, connection.tried(), self.now)
            });
            let target = match choice {
                Choice::Connect(target) => target,
                Choice::NoTarget => return Some(Event::NoTarget),
                Choice::BudgetSpent => {
                    self.count().connects.retry_budget_exhausted.increment();
                    return Some(Event::NoTarget);
                }
            };
            match self.connect_target(key, target) {
                Ok(()) => return None,
                Err(NoConnect::NoPort) if !is_ahead => {}
                Err(_) => return Some(Event::NoTarget),
            }
        }
    }

    /// Connects this target from the next source that has a port left.
    fn connect_target(&mut self, key: Key, target: Rc<LocalTarget>) -> Result<(), NoConnect> {
        let result = self.socket_to(&target);
        let connection = self.connections.get_mut(key).expect("a session asks for its connects");
        let (socket, source) = match result {
            Ok(socket) => socket,
            Err(reason) => {
                connection.skip(target);
                let is_ahead = connection.session.awaits_client();
                if let NoConnect::NoSocket(error) = &reason {
                    self.note_no_socket(error, is_ahead);
                }
                return Err(reason);
            }
        };
        self.ring.connect(key, &socket, target.socket_address());
        let due = self.now + self.settings.connect_timeout;
        let connect = Connect { due, cancelled: false, revoked: false, source };
        connection.start_connect(target, socket, connect);
        let connections = &mut self.connections;
        self.connects.start(self.now, key, |key| {
            connections.get_mut(key).is_none_or(|connection| connection.connect.is_none())
        });
        Ok(())
    }

    /// A socket bound to the next source, of those that may have a port left towards the target.
    fn socket_to(&mut self, target: &LocalTarget) -> Result<(OwnedFd, Source), NoConnect> {
        let address = target.address();
        let count = self.settings.sources.count(address.ip());
        while let Some(source) = target.ports().next_source(count, self.now) {
            match self.settings.sources.socket(address, source) {
                Ok(socket) => {
                    self.bound_if_needed(&socket);
                    return Ok((socket, source));
                }
                Err(error) if is_about_the_source(&error) => {
                    self.note_source(target, source, &error);
                }
                Err(error) => return Err(NoConnect::NoSocket(error)),
            }
        }
        Err(NoConnect::NoPort)
    }

    /// Goes on after a connect found no port: from another source, or to another target. Nothing
    /// is held against the target, which has heard of none of it.
    fn connect_elsewhere(
        &mut self,
        key: Key,
        connect: Connect,
        error: &io::Error,
    ) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let target = connection.chosen().cloned()?;
        // At once: the next socket is made before the ring would close this one.
        drop(connection.undo_connect());
        self.note_source(&target, connect.source, error);
        match self.connect_target(key, target) {
            Ok(()) => None,
            Err(NoConnect::NoPort) => self.connect(key),
            Err(NoConnect::NoSocket(_)) => Some(Event::NoTarget),
        }
    }

    /// Leaves what there is of descriptors to the clients that are there.
    fn note_no_socket(&mut self, error: &io::Error, is_ahead: bool) {
        if is_ahead {
            self.pooling.note_shortage(self.now);
        } else {
            // Accepting stops early enough for this not to happen, unless others use them up.
            self.pause_accepting(&format!("socket: {error}"));
        }
    }

    /// Notes that a target cannot be connected from `source` for now.
    fn note_source(&mut self, target: &LocalTarget, source: Source, error: &io::Error) {
        target.ports().note_exhausted(source, self.now);
        self.count().connects.without_port.increment();
        let since = |at| self.now.saturating_duration_since(at);
        if self.ports_logged.is_none_or(|at| since(at) >= PORTS_LOG_INTERVAL) {
            self.ports_logged = Some(self.now);
            let own = self.settings.sources.name(target.address().ip(), source);
            log::warn!(
                "no local port towards {} is left{own} ({error}); more SOURCE_ADDRESSES, a wider \
                 net.ipv4.ip_local_port_range or more targets help",
                target.address()
            );
        }
    }

    fn note_connect_duration(&mut self, target: &LocalTarget, connect: Connect) {
        let began = connect.due.checked_sub(self.settings.connect_timeout);
        let Some(duration) = began.and_then(|began| self.now.checked_duration_since(began)) else {
            return;
        };
        self.count().connects.durations.note(duration);
        target.pool().borrow_mut().note_connect(duration);
    }

    /// A client got a connection to the target.
    pub(super) fn count_success(&self, target: &LocalTarget) {
        let count = self.count();
        count.connections.successful.increment();
        target.got_client();
        match target.is_in_own_zone() {
            Some(true) => count.connections.same_zone.increment(),
            Some(false) => count.connections.other_zone.increment(),
            None => (),
        }
    }

    /// Connects for those who were to wait, if they are not any more.
    pub(super) fn connect_waiting(&mut self) {
        if !self.targets.admits() {
            return;
        }
        for key in std::mem::take(&mut self.waiting) {
            if let Some(event) = self.connect(key) {
                self.feed(key, event);
            }
        }
    }

    /// Ends a connect because the client is gone.
    pub(super) fn cancel_connect(&mut self, key: Key) -> Option<Event> {
        if let Some(index) = self.waiting.iter().position(|&waiting| waiting == key) {
            self.waiting.remove(index);
            return Some(Event::ConnectFailed);
        }
        let connect =
            self.connections.get_mut(key).and_then(|connection| connection.connect.as_mut());
        if let Some(connect) = connect {
            connect.cancelled = true;
            self.ring.cancel_connect(key);
        }
        None
    }

    /// Ends a connect because its target is not to be used any more.
    pub(super) fn revoke_connect(&mut self, key: Key) {
        let connect =
            self.connections.get_mut(key).and_then(|connection| connection.connect.as_mut());
        if let Some(connect) = connect.filter(|connect| !connect.revoked) {
            connect.revoked = true;
            self.ring.cancel_connect(key);
        }
    }

    /// Ends connects that have taken too long.
    pub(super) fn end_overdue_connects(&mut self) {
        while let Some(key) = self.connects.pop_due(self.now) {
            let connection = self.connections.get_mut(key);
            // The timer may be that of an earlier connect for the same client.
            if let Some(connect) = connection.and_then(|connection| connection.connect)
                && connect.due <= self.now
            {
                self.ring.cancel_connect(key);
            }
        }
    }

    pub(super) fn handle_connected(&mut self, key: Key, result: io::Result<()>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(connect) = connection.connect else { return };
        let Some(target) = connection.chosen().cloned() else { return };
        // Also one that began by an older snapshot, and one that succeeded in the meantime.
        if connect.revoked || target.reset().is_some() {
            if let Some(socket) = connection.drop_revoked_connect() {
                self.ring.close(socket);
            }
            return self.feed(key, Event::ConnectRevoked);
        }
        let event = match result {
            Ok(()) => {
                connection.connect = None;
                let is_ahead = connection.session.awaits_client();
                let is_first = !connection.session.is_replacement();
                self.note_connect_duration(&target, connect);
                target.reached();
                if is_ahead {
                    return self.add_to_pool(key, &target);
                }
                if is_first {
                    self.count_success(&target);
                }
                self.introduce(key);
                Event::Connected
            }
            Err(error) if is_about_the_source(&error) && !connect.cancelled => {
                let Some(event) = self.connect_elsewhere(key, connect, &error) else { return };
                event
            }
            Err(error) => {
                // At once: the next socket is made before the ring would close this one.
                drop(connection.fail_connect());
                if !connect.cancelled {
                    self.count().connects.failed.increment();
                    // Only its timer cancels a connect whose client is there.
                    let timed_out = is_cancellation(&error);
                    let kind = if timed_out { io::ErrorKind::TimedOut } else { error.kind() };
                    log::debug!("connecting {}: {kind}", target.address());
                    self.reporter.report(target.failed(kind));
                }
                Event::ConnectFailed
            }
        };
        self.feed(key, event);
    }
}
