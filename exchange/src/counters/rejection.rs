use super::counter::Counter;

/// Why a client's connection was reset instead of being forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Its address is on no list of those that may connect.
    NotAllowed,
    /// There were as many connections as there may be.
    MaxConnections,
    /// There were as many connections of its address as there may be.
    MaxConnectionsPerClient,
    /// It is none of the proxies that may say for whom they connect.
    UntrustedProxy,
    /// It ended without a byte, where a PROXY protocol header was expected: as probes of the port do.
    ProxyHeaderNone,
    /// It did not begin with a PROXY protocol header.
    ProxyHeaderMissing,
    /// Its PROXY protocol header broke the rules, or ended too early.
    ProxyHeaderMalformed,
    /// Its PROXY protocol header was longer than is allowed.
    ProxyHeaderOversized,
    /// Its PROXY protocol header took too long.
    ProxyHeaderLate,
}

impl Rejection {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::NotAllowed,
        Self::MaxConnections,
        Self::MaxConnectionsPerClient,
        Self::UntrustedProxy,
        Self::ProxyHeaderNone,
        Self::ProxyHeaderMissing,
        Self::ProxyHeaderMalformed,
        Self::ProxyHeaderOversized,
        Self::ProxyHeaderLate,
    ];

    /// The reason as it stands in metrics and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::MaxConnections => "max_connections",
            Self::MaxConnectionsPerClient => "max_connections_per_client",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::ProxyHeaderNone => "proxy_header_none",
            Self::ProxyHeaderMissing => "proxy_header_missing",
            Self::ProxyHeaderMalformed => "proxy_header_malformed",
            Self::ProxyHeaderOversized => "proxy_header_oversized",
            Self::ProxyHeaderLate => "proxy_header_late",
        }
    }
}

/// A counter for each [`Rejection`].
#[derive(Debug, Default)]
pub struct Rejections([Counter; Rejection::ALL.len()]);

impl Rejections {
    /// The total of one reason.
    pub fn of(&self, reason: Rejection) -> &Counter {
        &self.0[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_place_and_a_name_of_its_own() {
        let rejections = Rejections::default();
        for (index, reason) in Rejection::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            rejections.of(reason).increment();
            assert_eq!(rejections.of(reason).get(), 1);
            let same = Rejection::ALL.iter().filter(|other| other.name() == reason.name());
            assert_eq!(same.count(), 1);
        }
    }
}
