use std::io;
use std::os::fd::AsFd;

use super::{Worker, is_cancellation};
use crate::flow::Key;
use crate::flow::Side;
use crate::session::Event;
use crate::sys::BUFFER_SIZE;

impl Worker {
    /// Moves what has come from a side into a pipe.
    pub(super) fn fill(&mut self, key: Key, from: Side) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let Some(pipe) = self.pipes.take() else { return Some(Event::NotFilled { from }) };
        connection.get_ready_to_splice();
        let result = connection.socket(from).map_or(Ok(0), |socket| pipe.fill(socket));
        Some(match result {
            Ok(bytes @ 1..) => {
                let full = bytes >= usize::from(BUFFER_SIZE);
                if let Some(unexpected) = connection.start_draining(from.peer(), pipe, bytes) {
                    debug_assert!(false, "two pipes for one direction");
                    self.pipes.discard(unexpected);
                }
                Event::Filled { from, bytes, full }
            }
            nothing => {
                self.pipes.put_back(pipe);
                match nothing {
                    Err(error) if !is_transient(&error) => Event::ReceiveFailed { from },
                    // Nothing may be the end of the stream, or urgent data with more after it: a
                    // receive can tell them apart.
                    _ => Event::NotFilled { from },
                }
            }
        })
    }

    /// Moves what is in the pipe to a side on, as far as its socket takes it.
    pub(super) fn drain(&mut self, key: Key, to: Side) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let (socket, draining) = connection.draining(to)?;
        let before = draining.bytes;
        let failed = loop {
            if draining.bytes == 0 {
                break false;
            }
            match draining.pipe.drain(socket.as_fd(), draining.bytes) {
                Ok(bytes) => draining.bytes -= bytes,
                Err(error) => break !is_transient(&error),
            }
        };
        let (left, bytes) = (draining.bytes, before - draining.bytes);
        if left == 0
            && let Some(draining) = connection.stop_draining(to)
        {
            self.pipes.put_back(draining.pipe);
        }
        Some(if failed { Event::SendFailed { to } } else { Event::Drained { to, bytes } })
    }

    /// Gives up what is in the pipe to a side.
    pub(super) fn discard_pipe(&mut self, key: Key, to: Side) {
        let connection = self.connections.get_mut(key);
        if let Some(draining) = connection.and_then(|connection| connection.stop_draining(to)) {
            self.pipes.discard(draining.pipe);
        }
    }

    /// The end of a wait in a receive's place. What there is to know, the next splice tells.
    pub(super) fn handle_readable<T>(&mut self, key: Key, from: Side, result: &io::Result<T>) {
        let cancelled = result.as_ref().is_err_and(is_cancellation);
        let event =
            if cancelled { Event::ReceiveStopped { from } } else { Event::Readable { from } };
        self.feed(key, event);
    }

    /// The end of a wait in a send's place.
    pub(super) fn handle_writable<T>(&mut self, key: Key, to: Side, result: &io::Result<T>) {
        let cancelled = result.as_ref().is_err_and(is_cancellation);
        let event = if cancelled { Event::SendStopped { to } } else { Event::Writable { to } };
        self.feed(key, event);
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
