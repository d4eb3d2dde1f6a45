//! PROXY protocol headers: taken from clients, given to targets.

use std::time::{Duration, Instant};

use exchange::{Rejection, ServiceIndex};

use crate::flow::{AbortReason, Key, Piece, Side};
use crate::proxy_header::header_exchange::{HeaderExchange, HeaderRead, HeaderSource};
use crate::proxy_header::{ProxyProtocol, ProxyVersion};
use crate::session::{Event, HeaderProgress};
use crate::settings::Settings;
use crate::sys::Completion;
use crate::worker::connection::NewClient;
use crate::worker::core::Core;
use crate::worker::core::timers::EqualTimers;

/// How long a client's header may take. Not shorter, so that a lost segment can be sent again
/// ("The PROXY protocol", section 2).
const HEADER_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads the headers that clients begin with, within a time, and writes those for targets.
pub(in crate::worker) struct ProxyHeaders {
    settings: ProxyProtocol,
    /// By service: what targets get.
    to_targets: Vec<Option<ProxyVersion>>,
    timers: EqualTimers,
}

/// What came from a client while its header is expected.
#[derive(Debug)]
pub(in crate::worker) enum HeaderInput {
    /// Its session is told of this.
    Event(Event),
    /// It breaks the rules, or has ended before the header was whole.
    Refused(Event, Rejection),
    /// It is whole; `piece` is what follows it; `more`: the receive goes on.
    Complete { piece: Piece, source: HeaderSource, more: bool },
}

impl ProxyHeaders {
    pub(in crate::worker) fn new(settings: &Settings) -> Self {
        Self {
            settings: settings.proxy_protocol.clone(),
            to_targets: settings.services.iter().map(|service| service.proxy_header).collect(),
            timers: EqualTimers::new(HEADER_TIMEOUT),
        }
    }

    /// Whether clients have to begin with a header.
    pub(in crate::worker) fn are_expected(&self) -> bool {
        self.settings.from.is_some()
    }

    /// When there is something to do without anything having happened.
    pub(in crate::worker) fn due(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What is to be known of a client for headers' sake.
    pub(in crate::worker) fn exchange_of(&self, client: &NewClient) -> Option<Box<HeaderExchange>> {
        let is_needed = self.are_expected() || self.to_targets(client.service).is_some();
        is_needed.then(|| Box::new(HeaderExchange::of(&client.socket)))
    }

    /// Limits the time that a client's header takes.
    pub(in crate::worker) fn start_timer(&mut self, core: &mut Core, key: Key) {
        let connections = &mut core.connections;
        self.timers.start(core.now, key, |key| {
            connections.get_mut(key).is_none_or(|it| !it.session.awaits_proxy_header())
        });
    }

    /// A client whose header has taken too long.
    pub(in crate::worker) fn take_overdue(&mut self, core: &mut Core) -> Option<Key> {
        loop {
            let key = self.timers.pop_due(core.now)?;
            if core.connection(key).is_some_and(|it| it.session.awaits_proxy_header()) {
                return Some(key);
            }
        }
    }

    /// Whether it may complete a header: what is known about targets by then is to be known first, as
    /// it is to clients that need none.
    pub(in crate::worker) fn is_of_header(&self, core: &mut Core, completion: &Completion) -> bool {
        let Completion::Received { key, from: Side::Client, .. } = completion else { return false };
        self.are_expected()
            && core.connection(*key).is_some_and(|it| it.session.awaits_proxy_header())
    }

    /// What a client's event is while its header is expected.
    pub(in crate::worker) fn read(&self, core: &mut Core, key: Key, event: Event) -> HeaderInput {
        let Core { ring, connections, .. } = core;
        let connection = connections.get_mut(key);
        let connection = connection.filter(|it| it.session.awaits_proxy_header());
        let Some(header) = connection.and_then(|it| it.header.as_mut()) else {
            return HeaderInput::Event(event);
        };
        match event {
            Event::Received { from: Side::Client, piece, more, .. } => {
                let read = |bytes: &mut Vec<u8>| ring.buffers().read(piece, bytes);
                match header.take_in(read, self.settings.drops_fields) {
                    Ok(HeaderRead::Incomplete) => {
                        let progress = HeaderProgress::Incomplete;
                        HeaderInput::Event(Event::ProxyHeader { piece, progress, more })
                    }
                    Ok(HeaderRead::Complete { header_bytes, client }) => {
                        let piece = without_header(piece, header_bytes);
                        HeaderInput::Complete { piece, source: client, more }
                    }
                    Err(reason) => {
                        let progress = HeaderProgress::Refused;
                        HeaderInput::Refused(Event::ProxyHeader { piece, progress, more }, reason)
                    }
                }
            }
            Event::EndOfStream { from: Side::Client }
            | Event::ReceiveFailed { from: Side::Client } => {
                HeaderInput::Refused(event, header.cut_short())
            }
            _ => HeaderInput::Event(event),
        }
    }

    fn to_targets(&self, service: ServiceIndex) -> Option<ProxyVersion> {
        self.to_targets[service.place()]
    }

    /// What the target of a client has to get first, if anything.
    ///
    /// # Errors
    /// There is no buffer for it.
    pub(in crate::worker) fn write(
        &self,
        core: &mut Core,
        key: Key,
    ) -> Result<Option<Piece>, AbortReason> {
        // Not needed any more, whether or not a target is told.
        let connection = core.connection(key);
        let header = connection.and_then(|it| Some((it.service(), it.header.take()?)));
        let Some((service, header)) = header else { return Ok(None) };
        let Some(version) = self.to_targets(service) else { return Ok(None) };
        let piece = core.ring.buffers().write(&header.header().encode(version));
        if piece.is_none() {
            log::warn!("core {}: no buffer is left for a PROXY protocol header", core.number());
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
