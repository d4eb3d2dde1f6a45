use std::io;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, Socket, Type};

use super::Worker;
use crate::connection::Connection;
use crate::ring::Key;
use crate::session::Event;
use crate::targets::LocalTarget;

impl Worker {
    /// Dials a target that was not tried for this client before.
    pub(super) fn dial(&mut self, key: Key) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let picked = self.balancer.pick(&self.targets, connection.tried());
        let Some(target) = picked else { return Some(Event::NoTarget) };
        let socket = match make_socket(&target) {
            Ok(socket) => socket,
            Err(error) => {
                // Of no target's doing: another one would fare no better. Accepting stops early
                // enough for this not to happen, unless others use the descriptors up.
                self.pause_accepting(&format!("socket: {error}"));
                return Some(Event::NoTarget);
            }
        };
        self.ring.connect(key, &socket, target.socket_address());
        connection.start_dial(target, socket, self.now + self.settings.connect_timeout);
        let connections = &mut self.connections;
        self.dials.start(self.now, key, |key| {
            connections.get_mut(key).is_none_or(|connection| connection.dial.is_none())
        });
        None
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
        let target = connection.chosen().cloned();
        let is_revoked = dial.revoked || target.as_ref().is_some_and(|it| it.reset().is_some());
        if is_revoked {
            self.forget_dial(key);
            return self.feed(key, Event::DialRevoked);
        }
        let Err(error) = result else {
            connection.dial = None;
            self.count_connected(target.as_deref());
            return self.feed(key, Event::Dialled);
        };
        self.forget_dial(key);
        if !dial.cancelled {
            self.count().failed_dials.increment();
            if let Some(target) = target {
                log::debug!("dialling {}: {error}", target.address());
                self.reporter.report(target.failed());
            }
        }
        self.feed(key, Event::DialFailed);
    }

    fn forget_dial(&mut self, key: Key) {
        let socket = self.connections.get_mut(key).and_then(Connection::fail_dial);
        if let Some(socket) = socket {
            self.ring.close(socket);
        }
    }

    fn count_connected(&self, target: Option<&LocalTarget>) {
        let count = self.count();
        count.successful_connections.increment();
        let Some(target) = target else { return };
        target.dialled();
        match target.is_in_own_zone() {
            Some(true) => count.same_zone_connections.increment(),
            Some(false) => count.other_zone_connections.increment(),
            None => (),
        }
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
