use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::Worker;
use crate::choice::Choice;
use crate::connection::Dial;
use crate::local_target::LocalTarget;
use crate::ring::Key;
use crate::session::Event;

impl Worker {
    /// Dials a target that was not tried for this client before.
    pub(super) fn dial(&mut self, key: Key) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let choice = self.chooser.choose(&mut self.targets, connection.tried(), self.now);
        let (target, is_trial) = match choice {
            Choice::Dial(target) => (target, false),
            Choice::Trial(target) => (target, true),
            Choice::NoTarget => return Some(Event::NoTarget),
            Choice::BudgetSpent => {
                self.count().retry_budget_exhausted.increment();
                return Some(Event::NoTarget);
            }
        };
        let socket = match make_socket(&target) {
            Ok(socket) => socket,
            Err(error) => {
                // Of no target's doing: another one would fare no better. Accepting stops early
                // enough for this not to happen, unless others use the descriptors up.
                self.end_dial(&target, is_trial, None);
                self.pause_accepting(&format!("socket: {error}"));
                return Some(Event::NoTarget);
            }
        };
        self.ring.connect(key, &socket, target.socket_address());
        let due = self.now + self.settings.connect_timeout;
        connection.start_dial(
            target,
            socket,
            Dial { due, cancelled: false, revoked: false, is_trial },
        );
        let connections = &mut self.connections;
        self.dials.start(self.now, key, |key| {
            connections.get_mut(key).is_none_or(|connection| connection.dial.is_none())
        });
        None
    }

    /// Passes on what the control plane has to hear of a dial's end.
    fn end_dial(&mut self, target: &LocalTarget, is_trial: bool, reached: Option<bool>) {
        if let Some(report) = target.dialled(is_trial, reached) {
            self.reporter.report(report);
        }
    }

    /// Ends a dial because the client is gone.
    pub(super) fn cancel_dial(&mut self, key: Key) {
        let dial = self.connections.get_mut(key).and_then(|connection| connection.dial.as_mut());
        if let Some(dial) = dial {
            dial.cancelled = true;
            self.ring.cancel_connect(key);
        }
    }

    /// Ends a dial because its target is not to be used any more.
    pub(super) fn revoke_dial(&mut self, key: Key) {
        let dial = self.connections.get_mut(key).and_then(|connection| connection.dial.as_mut());
        if let Some(dial) = dial.filter(|dial| !dial.revoked) {
            dial.revoked = true;
            self.ring.cancel_connect(key);
        }
    }

    /// Ends dials that have taken too long.
    pub(super) fn end_overdue_dials(&mut self) {
        while let Some(key) = self.dials.pop_due(self.now) {
            let connection = self.connections.get_mut(key);
            // The timer may be that of an earlier dial for the same client.
            if let Some(dial) = connection.and_then(|connection| connection.dial)
                && dial.due <= self.now
            {
                self.ring.cancel_connect(key);
            }
        }
    }

    pub(super) fn handle_connected(&mut self, key: Key, result: io::Result<()>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let Some(dial) = connection.dial else { return };
        let Some(target) = connection.chosen().cloned() else { return };
        // Also one that began by an older snapshot, and one that succeeded in the meantime.
        if dial.revoked || target.reset().is_some() {
            if let Some(socket) = connection.drop_revoked_dial() {
                self.ring.close(socket);
            }
            self.end_dial(&target, dial.is_trial, None);
            return self.feed(key, Event::DialRevoked);
        }
        let event = match result {
            Ok(()) => {
                connection.dial = None;
                self.end_dial(&target, dial.is_trial, Some(true));
                let count = self.count();
                count.successful_connections.increment();
                match target.is_in_own_zone() {
                    Some(true) => count.same_zone_connections.increment(),
                    Some(false) => count.other_zone_connections.increment(),
                    None => (),
                }
                self.introduce(key);
                Event::Dialled
            }
            Err(error) => {
                if let Some(socket) = connection.fail_dial() {
                    self.ring.close(socket);
                }
                if !dial.cancelled {
                    self.count().failed_dials.increment();
                    log::debug!("dialling {}: {error}", target.address());
                }
                self.end_dial(&target, dial.is_trial, (!dial.cancelled).then_some(false));
                Event::DialFailed
            }
        };
        self.feed(key, event);
    }
}

/// A socket to dial the target with. Blocking: `io_uring` would not wait on a non-blocking one.
fn make_socket(target: &LocalTarget) -> io::Result<OwnedFd> {
    let domain = Domain::for_address(target.address());
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // What a client sent in one piece is not to wait for the acknowledgement of the one before.
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}
