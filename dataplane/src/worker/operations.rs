//! What sessions ask for.

use rustix::net::Shutdown;

use super::Worker;
use crate::flow::Key;
use crate::flow::Side;
use crate::session::{Ending, Event, Op};
use crate::sys::send_queue_bytes;

impl Worker {
    /// Performs all of `self.ops`, and those that follow from events that come at once.
    pub(super) fn perform_all(&mut self, key: Key) {
        let mut next = 0;
        while let Some(&op) = self.ops.get(next) {
            next += 1;
            let event = self.perform(key, op);
            if let (Some(event), Some(connection)) = (event, self.connections.get_mut(key)) {
                connection.session.handle(event, &mut self.ops);
            }
        }
        self.ops.clear();
    }

    fn perform(&mut self, key: Key, op: Op) -> Option<Event> {
        match op {
            Op::Connect => return self.connect(key),
            Op::CancelConnect => return self.cancel_connect(key),
            Op::Receive { from, multishot, idle } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(from) {
                    self.ring.receive((key, from), socket, multishot, idle);
                }
            }
            Op::CancelReceive { from } => return self.cancel_receive(key, from),
            Op::AwaitReadable { from } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(from) {
                    self.ring.await_readable(key, from, socket);
                }
            }
            Op::Fill { from } => return self.fill(key, from),
            Op::Drain { to } => return self.drain(key, to),
            Op::AwaitWritable { to } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(to) {
                    self.ring.await_writable(key, to, socket);
                }
            }
            Op::DiscardPipe { to } => self.discard_pipe(key, to),
            Op::Send { to, piece } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(to) {
                    self.ring.send((key, to), socket, piece);
                }
            }
            Op::CancelSend { to } => self.ring.cancel_send(key, to),
            Op::Watch { side } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(side) {
                    self.ring.watch(key, side, socket);
                    self.note_held_up(key, side);
                }
            }
            Op::CancelWatch { side } => self.ring.cancel_watch(key, side),
            Op::WatchLater => {
                let connections = &mut self.connections;
                self.watches.start(self.now, key, |key| connections.get_mut(key).is_none());
            }
            Op::ShutdownWrite { to } => {
                if let Some(socket) = self.connections.get_mut(key)?.socket(to) {
                    // Through the ring it would cost a worker thread. ENOTCONN: the connection is
                    // gone, which its receive or watch tells as well.
                    let _ = rustix::net::shutdown(socket, Shutdown::Write);
                }
            }
            Op::Inspect => return self.inspect(key),
            Op::Recycle { buffer } => self.ring.recycle(buffer),
            Op::MeasureSendQueue { to, delay } if delay.is_zero() => return self.measure(key, to),
            Op::MeasureSendQueue { to, delay } => self.measures.start(self.now + delay, (key, to)),
            Op::Close { side, reset } => self.close(key, side, reset),
            Op::Finish => self.finish(key),
        }
        None
    }

    fn cancel_receive(&mut self, key: Key, from: Side) -> Option<Event> {
        if let Some(index) = self.starved.iter().position(|&waiting| waiting == (key, from)) {
            self.starved.remove(index);
            return Some(Event::ReceiveStopped { from });
        }
        self.ring.cancel_receive(key, from);
        None
    }

    pub(super) fn measure(&mut self, key: Key, to: Side) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let bytes = connection.socket(to).map_or(0, send_queue_bytes);
        Some(Event::SendQueue { to, bytes })
    }

    fn close(&mut self, key: Key, side: Side, reset: bool) {
        let Some(socket) = self.connections.get_mut(key).and_then(|it| it.take_socket(side)) else {
            return;
        };
        if reset {
            self.reset(socket);
        } else {
            self.ring.close(socket);
        }
    }

    fn finish(&mut self, key: Key) {
        let Some(connection) = self.connections.remove(key) else { return };
        if connection.session.awaits_client() {
            return self.finish_ahead(key, connection);
        }
        self.count().connections.active.decrement();
        let ending = connection.session.ending();
        if ending == Some(Ending::Rebalanced) {
            self.count().connections.rebalanced.increment();
        }
        // Also one that was reset before its PROXY protocol header: it is counted by that reason.
        let was_refused = match ending {
            Some(Ending::Refused) => true,
            Some(Ending::ClientReset) => !connection.session.is_introduced(),
            _ => false,
        };
        if !connection.session.is_connected() && !was_refused {
            self.count().connections.failed.increment();
        }
        connection.finish(self.now, self.settings.log_connections);
        self.accepting.note_room(self.now);
    }
}
