//! PROXY protocol headers: taken from clients, given to targets.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use exchange::Rejection;

use super::Worker;
use crate::flow::Key;
use crate::flow::{AbortReason, Piece, Side};
use crate::proxy_header::exchange::{Introduction, Progress};
use crate::session::{Event, Preface};
use crate::sys::Completion;

/// How long a client's header may take. Not shorter, so that a lost segment can be sent again
/// ("The PROXY protocol", section 2).
pub(super) const PREFACE_TIMEOUT: Duration = Duration::from_secs(3);

impl Worker {
    /// Whether clients have to begin with a header.
    pub(super) fn expects_prefaces(&self) -> bool {
        self.settings.proxy_protocol.from.is_some()
    }

    /// Whether headers are to be expected from a client.
    pub(super) fn trusts(&self, client: SocketAddr) -> bool {
        let trusted = self.settings.proxy_protocol.from.as_ref();
        trusted.is_none_or(|trusted| trusted.contains(client.ip()))
    }

    /// What is to be known of a client for headers' sake.
    pub(super) fn introduction_of(&self, client: &OwnedFd) -> Option<Box<Introduction>> {
        let is_needed =
            self.expects_prefaces() || self.settings.proxy_protocol.to_targets.is_some();
        is_needed.then(|| Box::new(Introduction::of(client)))
    }

    /// Limits the time that a client's header takes.
    pub(super) fn start_preface(&mut self, key: Key) {
        let connections = &mut self.connections;
        self.prefaces.start(self.now, key, |key| {
            connections.get_mut(key).is_none_or(|it| !it.session.awaits_preface())
        });
    }

    /// Turns clients away whose header has taken too long.
    pub(super) fn end_overdue_prefaces(&mut self) {
        while let Some(key) = self.prefaces.pop_due(self.now) {
            if self.connections.get_mut(key).is_some_and(|it| it.session.awaits_preface()) {
                self.note_refusal(key, Rejection::ProxyHeaderLate);
                self.feed(key, Event::Refused);
            }
        }
    }

    /// Whether it may complete a header: what is known about targets by then is to be known first, as
    /// it is to clients that need none.
    pub(super) fn is_of_preface(&mut self, completion: &Completion) -> bool {
        let Completion::Received { key, from: Side::Client, .. } = completion else { return false };
        self.expects_prefaces()
            && self.connections.get_mut(*key).is_some_and(|it| it.session.awaits_preface())
    }

    /// Handles what clients' headers a turn has brought.
    pub(super) fn handle_prefaces(&mut self) {
        if self.prefaces_read.is_empty() {
            return;
        }
        let mut read = std::mem::take(&mut self.prefaces_read);
        for completion in read.drain(..) {
            self.handle(completion);
        }
        self.prefaces_read = read;
    }

    /// What a client's event is while its header is expected.
    pub(super) fn read_preface(&mut self, key: Key, event: Event) -> Event {
        let Some(connection) = self.connections.get_mut(key) else { return event };
        if !connection.session.awaits_preface() {
            return event;
        }
        let Some(introduction) = connection.introduction.as_mut() else { return event };
        match event {
            Event::Received { from: Side::Client, piece, more, .. } => {
                let ring = &self.ring;
                let drops_fields = self.settings.proxy_protocol.drops_fields;
                let read = |bytes: &mut Vec<u8>| ring.read(piece, bytes);
                let progress = introduction.take_in(read, drops_fields).and_then(|progress| {
                    if let Progress::Complete { client, .. } = progress {
                        self.admit_introduced(key, client)?;
                    }
                    Ok(progress)
                });
                let (piece, preface) = match progress {
                    Ok(Progress::Incomplete) => (piece, Preface::Incomplete),
                    Ok(Progress::Complete { header_bytes, .. }) => {
                        (without_header(piece, header_bytes), Preface::Complete)
                    }
                    Err(reason) => {
                        self.note_refusal(key, reason);
                        (piece, Preface::Refused)
                    }
                };
                Event::Prefaced { piece, preface, more }
            }
            Event::EndOfStream { from: Side::Client }
            | Event::ReceiveFailed { from: Side::Client } => {
                let reason = introduction.cut_short();
                self.note_refusal(key, reason);
                event
            }
            _ => event,
        }
    }

    /// Gives the session what its target has to get first. Called when a target was connected, right
    /// before the session is told.
    pub(super) fn introduce(&mut self, key: Key) {
        match self.write_header(key) {
            Ok(Some(piece)) => self.feed(key, Event::Header { piece }),
            Ok(None) => {}
            Err(cause) => self.feed(key, Event::Abort(cause)),
        }
    }

    /// What the target of a client has to get first, if anything.
    pub(super) fn write_header(&mut self, key: Key) -> Result<Option<Piece>, AbortReason> {
        let connection = self.connections.get_mut(key);
        // Not needed any more, whether or not a target is told.
        let Some(introduction) = connection.and_then(|it| it.introduction.take()) else {
            return Ok(None);
        };
        let Some(version) = self.settings.proxy_protocol.to_targets else { return Ok(None) };
        let piece = self.ring.write(&introduction.header().encode(version));
        if piece.is_none() {
            log::warn!("core {}: no buffer is left for a PROXY protocol header", self.core);
        }
        piece.map(Some).ok_or(AbortReason::NoBuffer)
    }
}

/// What follows a header whose last `header_bytes` bytes are the first ones of `piece`.
fn without_header(piece: Piece, header_bytes: usize) -> Piece {
    let start = u16::try_from(header_bytes).ok().filter(|start| *start <= piece.end - piece.start);
    let start = start.expect("a header ends within what came last");
    Piece { start: piece.start + start, ..piece }
}
