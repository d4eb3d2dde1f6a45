use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Probes of a silent peer after the first. None of them answered, it is gone.
const FURTHER_PROBES: u32 = 4;
/// The longest silence that the kernel can be told to wait for (`MAX_TCP_KEEPIDLE` of its
/// `net/tcp.h`), in whole seconds, as all of its keepalive times are.
pub const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);
/// How the kernel is told to find out that a peer is gone without having said so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    /// How long a peer is silent before it is asked for a sign of life.
    keepalive: Option<Duration>,
}

impl Keepalive {
    /// `TCP_USER_TIMEOUT` (tcp(7), RFC 5482) is not set: the kernel counts it from the first probe of
    /// a closed window, also where bytes are acknowledged all the while, so it would end live peers
    /// that read slowly. Whoever acknowledges nothing is found by the idle scan instead.
    pub(crate) fn new(keepalive: Option<Duration>) -> Self {
        Self { keepalive }
    }

    /// Sets a connection's options. They are no more than a help: an error is logged.
    pub(crate) fn apply(&self, socket: &SockRef<'_>) {
        let keepalive = self.keepalive.map_or(Ok(()), |time| {
            let time = whole_seconds(time);
            let interval = (time / FURTHER_PROBES).max(Duration::from_secs(1));
            let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
            socket.set_tcp_keepalive(&keepalive.with_retries(FURTHER_PROBES))
        });
        if let Err(error) = keepalive {
            log::debug!("SO_KEEPALIVE: {error}");
        }
    }
}

/// `time`, rounded up.
fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn any_time_that_is_accepted_is_one_the_kernel_takes() {
        for (given, expected_s) in [
            (Duration::from_millis(1), 1),
            (Duration::from_millis(500), 1),
            (Duration::from_secs(1), 1),
            (Duration::from_millis(1001), 2),
            (Duration::from_mins(1), 60),
            (KEEPALIVE_MAX, 32_767),
        ] {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let keepalive = Keepalive::new(Some(given));
            keepalive.apply(&SockRef::from(&socket));
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(expected_s));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), FURTHER_PROBES);
        }
    }
}
