use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::fd::OwnedFd;
use std::time::Duration;

use exchange::Rejection;
use socket2::SockRef;

use super::Worker;
use crate::flow::Key;
use crate::limits::Permit;
use crate::proxy_header::exchange::Claim;
use crate::session::Session;
use crate::sys::peer_address;
use crate::worker::connection::{Connection, Origin};
use crate::worker::idle_scan::activity::Idle;

impl Worker {
    /// Serves a client that was accepted, or turns it away.
    pub(super) fn admit(&mut self, client: OwnedFd) {
        let address = if self.needs_client_address {
            // Also of one that has sent something and reset the connection: its bytes go on.
            match peer_address(&client) {
                Ok(address) => Some(address),
                Err(error) => {
                    log::warn!("a client's address cannot be had, so it is closed: {error}");
                    return self.ring.close(client);
                }
            }
        } else {
            None
        };
        let admitted = if self.expects_prefaces() {
            // The limits are for the client that its header is going to name.
            let is_trusted = address.is_some_and(|address| self.trusts(address));
            if is_trusted { Ok(None) } else { Err(Rejection::UntrustedProxy) }
        } else {
            self.admission.admit(address.map(|address| address.ip())).map(Some)
        };
        match admitted {
            Ok(permit) => {
                let is_counted = permit.as_ref().is_some_and(Permit::is_counted);
                let origin = (address.is_some() || is_counted).then(|| Origin {
                    client: address,
                    accepted: self.now,
                    permit,
                });
                self.open(client, origin);
            }
            Err(reason) => {
                self.note_rejection(reason, address);
                self.reset(client);
            }
        }
    }

    /// Lets in a client whose header is complete, as the one that it claims to be.
    ///
    /// # Errors
    /// Why it is to be turned away.
    pub(super) fn admit_introduced(&mut self, key: Key, claim: Claim) -> Result<(), Rejection> {
        let Some(connection) = self.connections.get_mut(key) else { return Ok(()) };
        if let Claim::Client(address) = claim {
            connection.name(SocketAddr::new(address.ip().to_canonical(), address.port()));
        }
        let client = connection.client_address().map(|address| address.ip());
        let permit = match claim {
            // That it is trusted is enough: clients are what may not be allowed.
            Claim::Proxy => self.admission.enter(client)?,
            Claim::Nobody | Claim::Client(_) => self.admission.admit(client)?,
        };
        connection.admit(permit);
        Ok(())
    }

    /// As [`Self::note_rejection`], of a client whose connection is open already.
    pub(super) fn note_refusal(&mut self, key: Key, reason: Rejection) {
        let address = self.connections.get_mut(key).and_then(|it| it.client_address());
        self.note_rejection(reason, address);
    }

    /// Counts a client that is turned away; a log line now and then.
    fn note_rejection(&self, reason: Rejection, client: Option<SocketAddr>) {
        self.count().connections.rejected.of(reason).increment();
        if is_told(reason) && self.rejection_log.is_first(reason, self.now) {
            let from = client.map_or_else(String::new, |client| format!("; one from {client}"));
            log::warn!("connections are reset ({}): {}{from}", reason.name(), self.rule(reason));
        }
    }

    /// A log line about those that were turned away since the last one, if it is time for it.
    pub(super) fn sum_up_rejections(&self) {
        for reason in Rejection::ALL.into_iter().filter(|reason| is_told(*reason)) {
            let total = || {
                self.counters.iter().map(|core| core.connections.rejected.of(reason).get()).sum()
            };
            if let Some(count) = self.rejection_log.due(reason, self.now, total) {
                let (name, rule) = (reason.name(), self.rule(reason));
                log::warn!("connections are reset ({name}): {count} more; {rule}");
            }
        }
    }

    /// What those break that are turned away for `reason`.
    fn rule(&self, reason: Rejection) -> String {
        let limits = &self.settings.limits;
        match reason {
            Rejection::NotAllowed => "ALLOW_CIDRS does not have the client".to_owned(),
            Rejection::MaxConnections => {
                format!("MAX_CONNECTIONS is {}", limits.connections.map_or(0, NonZeroUsize::get))
            }
            Rejection::MaxConnectionsPerClient => format!(
                "MAX_CONNECTIONS_PER_CLIENT is {}",
                limits.connections_per_client.map_or(0, NonZeroU32::get)
            ),
            Rejection::UntrustedProxy => "TRUSTED_PROXIES does not have the proxy".to_owned(),
            Rejection::ProxyHeaderNone => "it ended without a byte".to_owned(),
            Rejection::ProxyHeaderMissing => {
                "no PROXY protocol header came (ACCEPT_PROXY_PROTOCOL)".to_owned()
            }
            Rejection::ProxyHeaderMalformed => "a PROXY protocol header is malformed".to_owned(),
            Rejection::ProxyHeaderOversized => "a PROXY protocol header is too long".to_owned(),
            Rejection::ProxyHeaderLate => "a PROXY protocol header took too long".to_owned(),
        }
    }

    fn open(&mut self, client: OwnedFd, origin: Option<Origin>) {
        self.count().connections.active.increment();
        let connects_max = self.connects_max();
        let expects_preface = self.expects_prefaces();
        let session = if expects_preface {
            Session::awaiting_preface(connects_max, &mut self.ops)
        } else {
            Session::accepted(connects_max, &mut self.ops)
        };
        self.bound_if_needed(&client);
        let introduction = self.introduction_of(&client);
        let idle = Idle::new(self.sweep.clock_ms(self.now));
        let mut connection = Connection::new(session, client, origin, idle);
        connection.introduction = introduction;
        if !expects_preface && let Some(ahead) = self.claim(connection.client_address()) {
            // What the client's own session would do.
            self.ops.clear();
            return self.hand_over(ahead, connection, None);
        }
        let key = self.connections.insert(connection);
        if expects_preface {
            self.start_preface(key);
        }
        self.perform_all(key);
    }

    /// How many targets a session may connect.
    pub(super) fn connects_max(&self) -> u8 {
        u8::try_from(self.settings.connect_attempts).unwrap_or(u8::MAX)
    }

    /// Closes by RST what has no operation in flight.
    pub(super) fn reset(&mut self, client: OwnedFd) {
        if let Err(error) = SockRef::from(&client).set_linger(Some(Duration::ZERO)) {
            log::debug!("SO_LINGER: {error}");
        }
        self.ring.close(client);
    }
}

/// Whether it is worth a line in the log: not where somebody only looks whether the port is open.
fn is_told(reason: Rejection) -> bool {
    reason != Rejection::ProxyHeaderNone
}
