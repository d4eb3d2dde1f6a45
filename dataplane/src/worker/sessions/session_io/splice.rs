//! Bulk, through pipes.

use std::io;
use std::os::fd::AsFd;

use crate::flow::Side;
use crate::session::Event;
use crate::sys::BUFFER_SIZE;
use crate::sys::pipes::Pipes;
use crate::worker::connection::Connection;

/// Fills pipes from sockets, and drains them.
pub(super) struct Splicer {
    pipes: Pipes,
}

impl Splicer {
    pub(super) fn new(pipes_max: usize) -> Self {
        Self { pipes: Pipes::new(pipes_max) }
    }

    /// Moves what has come from a side into a pipe.
    pub(super) fn fill(&mut self, connection: &mut Connection, from: Side) -> Event {
        let Some(pipe) = self.pipes.take() else { return Event::NotFilled { from } };
        let sockets = &mut connection.sockets;
        sockets.get_ready_to_splice();
        let result = sockets.get(from).map_or(Ok(0), |socket| pipe.fill(socket));
        match result {
            Ok(bytes @ 1..) => {
                let full = bytes >= usize::from(BUFFER_SIZE);
                if let Some(unexpected) = sockets.keep_pipe(from.peer(), pipe, small(bytes)) {
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
        }
    }

    /// Moves what is in the pipe to a side on, as far as its socket takes it.
    pub(super) fn drain(&mut self, connection: &mut Connection, to: Side) -> Option<Event> {
        let (socket, filled) = connection.sockets.with_pipe(to)?;
        let before = filled.bytes;
        let failed = loop {
            if filled.bytes == 0 {
                break false;
            }
            match filled.pipe.drain(socket.as_fd(), filled.bytes as usize) {
                Ok(bytes) => filled.bytes -= small(bytes),
                Err(error) => break !is_transient(&error),
            }
        };
        let (left, bytes) = (filled.bytes, (before - filled.bytes) as usize);
        if left == 0
            && let Some(pipe) = connection.sockets.take_pipe(to)
        {
            self.pipes.put_back(pipe);
        }
        Some(if failed { Event::SendFailed { to } } else { Event::Drained { to, bytes } })
    }

    /// Gives up what is in the pipe to a side.
    pub(super) fn discard(&mut self, connection: &mut Connection, to: Side) {
        if let Some(pipe) = connection.sockets.take_pipe(to) {
            self.pipes.discard(pipe);
        }
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What a pipe may hold.
fn small(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a pipe holds less than 4 GiB")
}
