//! Who is let in, and what becomes known of those who are not.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use exchange::{CoreCounters, Rejection, ServiceCounters, ServiceIndex};

use crate::flow::Key;
use crate::limits::rejection_log::RejectionLog;
use crate::limits::{Admission, Cidrs, Limits, Permit};
use crate::proxy_header::header_exchange::HeaderSource;
use crate::sys::peer_address;
use crate::worker::connection::{NewClient, Origin};
use crate::worker::core::Core;

/// Decides about clients, and counts those that are turned away.
pub(in crate::worker) struct Admitter {
    admission: Arc<Admission>,
    /// For lines about clients that were turned away.
    rejection_log: Arc<RejectionLog>,
    limits: Limits,
    /// Whose headers are believed; `None`: none are expected.
    trusted_proxies: Option<Cidrs>,
    /// Of the client. It takes a system call: only if something depends on it.
    needs_address: bool,
    logs_connections: bool,
    /// By service: what it is called in log lines.
    service_ports: Vec<Option<u16>>,
}

impl Admitter {
    pub(in crate::worker) fn new(
        admission: Arc<Admission>,
        rejection_log: Arc<RejectionLog>,
        settings: &crate::settings::Settings,
    ) -> Self {
        let trusted_proxies = settings.proxy_protocol.from.clone();
        Self {
            needs_address: settings.log_connections
                || trusted_proxies.is_some()
                || admission.needs_address(),
            admission,
            rejection_log,
            limits: settings.limits.clone(),
            trusted_proxies,
            logs_connections: settings.log_connections,
            service_ports: settings.services.iter().map(|service| service.port).collect(),
        }
    }

    /// Lets a client in, or turns it away. `needs_address`: where it goes depends on who it is.
    pub(in crate::worker) fn admit(
        &self,
        core: &mut Core,
        NewClient { service, socket: client }: NewClient,
        needs_address: bool,
    ) -> Option<(NewClient, Option<Box<Origin>>)> {
        let address = if self.needs_address || needs_address {
            // Also of one that has sent something and reset the connection: its bytes go on.
            match peer_address(&client) {
                Ok(address) => Some(address),
                Err(error) => {
                    log::warn!("a client's address cannot be had, so it is closed: {error}");
                    core.ring.close(client);
                    return None;
                }
            }
        } else {
            None
        };
        let admitted = match &self.trusted_proxies {
            // The limits are for the client that its header is going to name.
            Some(proxies) if address.is_some_and(|it| proxies.contains(it.ip())) => Ok(None),
            Some(_) => Err(Rejection::UntrustedProxy),
            None => self.admission.admit(address.map(|address| address.ip())).map(Some),
        };
        match admitted {
            Ok(permit) => {
                let is_counted = permit.as_ref().is_some_and(Permit::is_counted);
                let is_logged = self.logs_connections;
                let origin = (address.is_some() || is_counted).then(|| {
                    Box::new(Origin {
                        client: address,
                        accepted: core.now,
                        permit,
                        is_logged,
                        service_port: self.service_ports[service.place()],
                    })
                });
                Some((NewClient { service, socket: client }, origin))
            }
            Err(reason) => {
                self.note_rejection(core, service, reason, address);
                core.reset(client);
                None
            }
        }
    }

    /// Lets in a client whose header is complete, as the one that it says it is.
    ///
    /// # Errors
    /// Why it is to be turned away.
    pub(in crate::worker) fn admit_named(
        &self,
        core: &mut Core,
        key: Key,
        source: HeaderSource,
    ) -> Result<(), Rejection> {
        let Some(connection) = core.connection(key) else { return Ok(()) };
        if let HeaderSource::Client(address) = source {
            connection.name(SocketAddr::new(address.ip().to_canonical(), address.port()));
        }
        let client = connection.client_ip();
        let permit = match source {
            // That it is trusted is enough: clients are what may not be allowed.
            HeaderSource::Proxy => self.admission.enter(client)?,
            HeaderSource::Unknown | HeaderSource::Client(_) => self.admission.admit(client)?,
        };
        connection.admit(permit);
        Ok(())
    }

    /// Counts a client that is turned away although its connection is open already.
    pub(in crate::worker) fn note_refusal(&self, core: &mut Core, key: Key, reason: Rejection) {
        let Some(connection) = core.connection(key) else { return };
        let (service, address) = (connection.service(), connection.client_address());
        self.note_rejection(core, service, reason, address);
    }

    /// Counts a client that is turned away; a log line now and then.
    fn note_rejection(
        &self,
        core: &Core,
        service: ServiceIndex,
        reason: Rejection,
        client: Option<SocketAddr>,
    ) {
        core.count(service).connections.rejected.of(reason).increment();
        if is_told(reason) && self.rejection_log.is_first(reason, core.now) {
            let from = client.map_or_else(String::new, |client| format!("; one from {client}"));
            log::warn!("connections are reset ({}): {}{from}", reason.name(), self.rule(reason));
        }
    }

    /// A log line about those that were turned away since the last one, if it is time for it.
    pub(in crate::worker) fn sum_up_rejections(&self, core: &Core) {
        for reason in Rejection::ALL.into_iter().filter(|reason| is_told(*reason)) {
            let services = core.counters.iter().flat_map(CoreCounters::services);
            let of = |count: &ServiceCounters| count.connections.rejected.of(reason).get();
            let total = || services.map(of).sum();
            if let Some(count) = self.rejection_log.due(reason, core.now, total) {
                let (name, rule) = (reason.name(), self.rule(reason));
                log::warn!("connections are reset ({name}): {count} more; {rule}");
            }
        }
    }

    /// What those break that are turned away for `reason`.
    fn rule(&self, reason: Rejection) -> String {
        let limits = &self.limits;
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
}

/// Whether it is worth a line in the log: not where somebody only looks whether the port is open.
fn is_told(reason: Rejection) -> bool {
    reason != Rejection::ProxyHeaderNone
}
