//! What sessions ask for of their sockets, and what came of it.

mod pressure;
mod splice;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::net::{RecvFlags, Shutdown, recv};

use crate::flow::{Key, Piece, Side};
use crate::session::{Event, Op, WATCH_DELAY};
use crate::sys::{BUFFER_SIZE, Completion, Kind, send_queue_bytes};
use crate::worker::core::timers::{EqualTimers, Timers};
use crate::worker::core::{Core, is_cancellation};
pub(in crate::worker) use pressure::{Pressure, bound};
use splice::Splicer;

/// Performs what sessions ask for, but for connects.
pub(in crate::worker) struct SessionIo {
    splicer: Splicer,
    pressure: Pressure,
    watches: EqualTimers,
    measures: Timers<(Key, Side)>,
    /// Receives that ended because there was no buffer left, and wait for one.
    starved: VecDeque<(Key, Side)>,
}

impl SessionIo {
    /// Bulk goes through at most so many pipes.
    pub(in crate::worker) fn new(pipes_max: usize) -> Self {
        Self {
            splicer: Splicer::new(pipes_max),
            pressure: Pressure::default(),
            watches: EqualTimers::new(WATCH_DELAY),
            measures: Timers::new(),
            starved: VecDeque::new(),
        }
    }

    /// When there is something to do without anything having happened.
    pub(in crate::worker) fn due(&self) -> Option<Instant> {
        [self.watches.next(), self.measures.next()].into_iter().flatten().min()
    }

    /// Whether receives wait for buffers.
    pub(in crate::worker) fn is_starved(&self) -> bool {
        !self.starved.is_empty()
    }

    /// What sockets may make the kernel hold.
    pub(in crate::worker) fn pressure(&mut self) -> &mut Pressure {
        &mut self.pressure
    }

    /// Performs an operation; what followed from it at once.
    pub(in crate::worker) fn perform(
        &mut self,
        core: &mut Core,
        key: Key,
        op: Op,
    ) -> Option<Event> {
        let Core { ring, connections, now, .. } = core;
        if let Op::Recycle { buffer } = op {
            ring.buffers().recycle(buffer);
            return None;
        }
        let connection = connections.get_mut(key)?;
        let socket = |side| connection.sockets.get(side);
        match op {
            Op::Receive { from, multishot, idle } => {
                ring.receive((key, from), socket(from)?, multishot, idle);
            }
            Op::CancelReceive { from } => {
                if let Some(index) = self.starved.iter().position(|it| *it == (key, from)) {
                    self.starved.remove(index);
                    return Some(Event::ReceiveStopped { from });
                }
                ring.cancel(Kind::Receive, key, from);
            }
            Op::AwaitReadable { from } => ring.await_readable(key, from, socket(from)?),
            Op::Fill { from } => return Some(self.splicer.fill(connection, from)),
            Op::Drain { to } => return self.splicer.drain(connection, to),
            Op::AwaitWritable { to } => ring.await_writable(key, to, socket(to)?),
            Op::DiscardPipe { to } => self.splicer.discard(connection, to),
            Op::Send { to, piece } => ring.send((key, to), socket(to)?, piece),
            Op::CancelSend { to } => ring.cancel(Kind::Send, key, to),
            Op::Watch { side } => {
                ring.watch(key, side, socket(side)?);
                self.pressure.note(connection, side);
            }
            Op::CancelWatch { side } => ring.cancel(Kind::Watch, key, side),
            Op::WatchLater => {
                self.watches.start(*now, key, |key| connections.get_mut(key).is_none());
            }
            Op::ShutdownWrite { to } => {
                // Through the ring it would cost a worker thread. ENOTCONN: the connection is gone,
                // which its receive or watch tells as well.
                let _ = rustix::net::shutdown(socket(to)?, Shutdown::Write);
            }
            Op::Inspect => {
                let is_empty = connection.sockets.iter().all(is_empty);
                return Some(Event::Inspected { is_empty });
            }
            Op::MeasureSendQueue { to, delay } if delay.is_zero() => {
                return Some(send_queue(socket(to), to));
            }
            Op::MeasureSendQueue { to, delay } => self.measures.start(*now + delay, (key, to)),
            Op::Close { side, reset } => {
                let socket = connection.sockets.take(side)?;
                if reset { core.reset(socket) } else { ring.close(socket) }
            }
            Op::Recycle { .. } | Op::Connect | Op::CancelConnect | Op::Finish => {
                unreachable!("{op:?} is about more than sockets")
            }
        }
        None
    }

    /// What the completion of an operation means for its session; `None` if it means nothing yet.
    pub(in crate::worker) fn note(
        &mut self,
        core: &mut Core,
        completion: Completion,
    ) -> Option<(Key, Event)> {
        match completion {
            Completion::Received { key, from, result, more } => {
                self.received(core, (key, from), result, more).map(|event| (key, event))
            }
            Completion::Sent { key, to, result } => Some((key, sent(core, (key, to), &result))),
            Completion::Watched { key, side, result, more } => {
                Some((key, self.watched(core, (key, side), &result, more)))
            }
            completion => unreachable!("{completion:?} is about more than a socket"),
        }
    }

    fn received(
        &mut self,
        core: &mut Core,
        (key, from): (Key, Side),
        result: io::Result<(u32, Option<u16>)>,
        more: bool,
    ) -> Option<Event> {
        let connection = core.connections.get_mut(key);
        if connection.is_some_and(|it| it.session.relay().half(from).awaits_readable()) {
            // What there is to know, the next splice tells.
            let is_cancelled = result.as_ref().is_err_and(is_cancellation);
            return Some(if is_cancelled {
                Event::ReceiveStopped { from }
            } else {
                Event::Readable { from }
            });
        }
        Some(match result {
            Ok((bytes @ 1.., Some(buffer))) => {
                let end = u16::try_from(bytes).expect("a receive brings at most a buffer");
                let piece = Piece { buffer, start: 0, end };
                Event::Received { from, piece, full: end == BUFFER_SIZE, more }
            }
            Ok((_, buffer)) => {
                if let Some(buffer) = buffer {
                    core.ring.buffers().recycle(buffer);
                }
                Event::EndOfStream { from }
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                if core.ring.buffers().grow() == 0 {
                    self.starved.push_back((key, from));
                    return None;
                }
                Event::ReceiveStopped { from }
            }
            Err(error) if is_cancellation(&error) => Event::ReceiveStopped { from },
            Err(_) => Event::ReceiveFailed { from },
        })
    }

    fn watched(
        &mut self,
        core: &mut Core,
        (key, side): (Key, Side),
        result: &io::Result<u32>,
        more: bool,
    ) -> Event {
        if !more && let Some(connection) = core.connection(key) {
            self.pressure.forget(connection, side);
        }
        let error = result
            .as_ref()
            .is_ok_and(|events| events & u32::from(libc::POLLERR.unsigned_abs()) != 0);
        Event::Watched { side, error, more }
    }

    /// The event of a timer that is due.
    pub(in crate::worker) fn take_due(&mut self, core: &mut Core) -> Option<(Key, Event)> {
        while let Some(key) = self.watches.pop_due(core.now) {
            if core.connection(key).is_some() {
                return Some((key, Event::WatchDue));
            }
        }
        while let Some((key, to)) = self.measures.pop_due(core.now) {
            if let Some(connection) = core.connection(key) {
                return Some((key, send_queue(connection.sockets.get(to), to)));
            }
        }
        None
    }

    /// Receives for which there are buffers again, those first that waited longest.
    pub(in crate::worker) fn take_fed(&mut self, core: &mut Core) -> Vec<(Key, Side)> {
        if self.starved.is_empty() {
            return Vec::new();
        }
        let fed = usize::from(core.ring.buffers().grow()).min(self.starved.len());
        self.starved.drain(..fed).collect()
    }
}

/// What a send's completion means.
fn sent(core: &mut Core, (key, to): (Key, Side), result: &io::Result<u32>) -> Event {
    let is_cancelled = result.as_ref().is_err_and(is_cancellation);
    let connection = core.connection(key);
    match result {
        _ if is_cancelled => Event::SendStopped { to },
        _ if connection.is_some_and(|it| it.session.relay().half(to).awaits_writable()) => {
            Event::Writable { to }
        }
        Ok(bytes) => Event::Sent { to, bytes: *bytes as usize },
        Err(_) => Event::SendFailed { to },
    }
}

fn send_queue(socket: Option<&OwnedFd>, to: Side) -> Event {
    Event::SendQueue { to, bytes: socket.map_or(0, send_queue_bytes) }
}

/// Whether nothing has come that was not received.
fn is_empty(socket: &OwnedFd) -> bool {
    let result = recv(socket, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    result.is_err_and(|error| error == rustix::io::Errno::AGAIN)
}
