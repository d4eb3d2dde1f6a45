//! A session together with what it stands for: its descriptors and its target.

mod accepted_client;
mod close_log;
mod scan_record;
mod sockets;
mod upstream;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use exchange::{ConnectionCounters, RebalanceClose, ServiceCounters, ServiceIndex};

use crate::flow::Side;
use crate::limits::Permit;
use crate::proxy_header::header_exchange::HeaderExchange;
use crate::selection::local_target::LocalTarget;
use crate::session::{CloseReason, Session};
pub(crate) use accepted_client::NewClient;
pub(super) use accepted_client::{AcceptedClient, Origin};
pub(super) use scan_record::ScanRecord;
use sockets::Sockets;
pub(super) use upstream::{ConnectAttempt, Upstream};

use super::idle_scan::activity::LastActivity;

#[derive(Debug)]
pub(super) struct Connection {
    service: ServiceIndex,
    pub(super) session: Session,
    pub(super) sockets: Sockets,
    /// `None` if nothing depends on it.
    origin: Option<Box<Origin>>,
    /// Until a target was connected to, where PROXY protocol headers are in use.
    pub(super) header: Option<Box<HeaderExchange>>,
    pub(super) upstream: Upstream,
    pub(super) scan: ScanRecord,
    /// Held while it is being closed for rebalancing. The last field: dropped when the connection
    /// counts no more.
    pub(super) rebalance_close: Option<RebalanceClose>,
}

impl Connection {
    pub(super) fn new(session: Session, client: AcceptedClient) -> Self {
        let (service, activity) = (client.service, client.activity);
        let mut connection = Self::without_client(service, session, Upstream::default(), activity);
        connection.take_over(client);
        connection
    }

    /// A connection to `target` that is to wait for its client.
    pub(super) fn preconnected(
        session: Session,
        target: Rc<LocalTarget>,
        activity: LastActivity,
    ) -> Self {
        let service = target.service();
        Self::without_client(service, session, Upstream::preconnected(target), activity)
    }

    fn without_client(
        service: ServiceIndex,
        session: Session,
        upstream: Upstream,
        activity: LastActivity,
    ) -> Self {
        Self {
            service,
            session,
            sockets: Sockets::default(),
            origin: None,
            header: None,
            upstream,
            scan: ScanRecord::new(activity),
            rebalance_close: None,
        }
    }

    /// Which service it is a connection of.
    pub(super) fn service(&self) -> ServiceIndex {
        self.service
    }

    /// The wait for a client is over, the session is about to be told.
    pub(super) fn adopt(&mut self, client: AcceptedClient) {
        self.take_over(client);
        self.upstream.claim();
    }

    fn take_over(&mut self, client: AcceptedClient) {
        self.sockets.put(Side::Client, client.socket);
        self.origin = client.origin;
        self.header = client.header;
        self.scan.accepted_ms = client.accepted_ms;
        self.scan.activity = client.activity;
    }

    /// Takes the client out of a connection whose session has nothing in flight and no target.
    pub(super) fn into_client(mut self) -> Option<AcceptedClient> {
        let socket = self.sockets.take(Side::Client)?;
        let ScanRecord { activity, accepted_ms, .. } = self.scan;
        let (service, origin, header) = (self.service, self.origin, self.header);
        Some(AcceptedClient { service, socket, origin, header, activity, accepted_ms })
    }

    /// Who the client is; `None` if nothing depends on it.
    pub(super) fn client_address(&self) -> Option<SocketAddr> {
        self.origin.as_ref().and_then(|origin| origin.client)
    }

    /// As [`Self::client_address`], without its port.
    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.client_address().map(|address| address.ip())
    }

    /// Notes that the client turned out to be at `address`.
    pub(super) fn name(&mut self, address: SocketAddr) {
        // A client that says who it is has an origin: only so is it let in before that.
        if let Some(origin) = &mut self.origin {
            origin.client = Some(address);
        }
    }

    /// Lets in a client of whom it was not known before who it is.
    pub(super) fn admit(&mut self, permit: Permit) {
        if let Some(origin) = &mut self.origin {
            origin.permit = Some(permit);
        }
    }

    /// A connect begins.
    pub(super) fn start_connect(
        &mut self,
        target: Rc<LocalTarget>,
        socket: OwnedFd,
        attempt: ConnectAttempt,
    ) {
        self.upstream.start(target, attempt);
        // The scan has yet to see this socket, also where it takes the place of one that was lost.
        (self.scan.has_keepalive, self.scan.is_bounded) = (false, false);
        self.sockets.put(Side::Target, socket);
    }

    /// The end: gives the target back its place, and counts; a log line if it is wanted.
    pub(super) fn finish(mut self, now: Instant, count: &ServiceCounters) {
        if !self.session.awaits_client() {
            count_end(&count.connections, &self.session);
        }
        let target = self.upstream.close();
        if let Some(target) = target.as_ref().filter(|_| self.session.is_connected()) {
            target.load().ended(!self.session.relay().is_unanswered());
        }
        if let Some(origin) = self.origin.as_ref().filter(|origin| origin.is_logged) {
            let attempts = self.upstream.tried().targets().len() + usize::from(target.is_some());
            let target = target.map(|target| target.address());
            close_log::write(&self.session, origin, target, attempts, now);
        }
    }
}

/// Counts how a client's connection has ended.
fn count_end(count: &ConnectionCounters, session: &Session) {
    count.active.decrement();
    let reason = session.close_reason();
    if reason == Some(CloseReason::Rebalanced) {
        count.rebalanced.increment();
    }
    // Also one that was reset before its PROXY protocol header: it is counted by that reason.
    let was_refused = match reason {
        Some(CloseReason::Refused) => true,
        Some(CloseReason::ClientReset) => !session.is_past_proxy_header(),
        _ => false,
    };
    if !session.is_connected() && !was_refused {
        count.failed.increment();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<super::Connection>() <= 360, "{}", size_of::<super::Connection>());
    }
}
