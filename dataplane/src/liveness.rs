use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::idle::IdleTimeouts;

/// Probes of a silent peer after the first. None of them answered, it is gone.
const FURTHER_PROBES: u32 = 4;
/// The longest silence that the kernel can be told to wait for (`MAX_TCP_KEEPIDLE` of its
/// `net/tcp.h`), in whole seconds, as all of its keepalive times are.
pub const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);
/// What the kernel does by itself (15 retransmissions: tcp(7), `tcp_retries2`) takes about 920 s.
/// A longer time would only have it wait longer.
const USER_TIMEOUT_MAX: Duration = Duration::from_mins(15);
/// By how much the kernel is to be slower than the sweep.
const USER_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// How the kernel is told to find out that a peer is gone without having said so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Liveness {
    /// How long a peer is silent before it is asked for a sign of life.
    keepalive: Option<Duration>,
    /// How long bytes may wait to be acknowledged, or for room at the peer (tcp(7),
    /// `TCP_USER_TIMEOUT`, RFC 5482).
    user_timeout: Option<Duration>,
}

impl Liveness {
    /// The user timeout also ends a live peer that takes nothing for so long, though it answers
    /// every probe. So it is longer than such a connection may be idle at all, and there is none
    /// where connections may be idle for ever.
    pub(crate) fn new(keepalive: Option<Duration>, timeouts: IdleTimeouts) -> Self {
        let longest = timeouts.open.zip(timeouts.half_closed).map(|(a, b)| a.max(b));
        let user_timeout = longest.map(|longest| longest * 9 / 8 + USER_TIMEOUT_MARGIN);
        Self { keepalive, user_timeout: user_timeout.filter(|it| *it <= USER_TIMEOUT_MAX) }
    }

    /// Sets a connection's options. They are no more than a help: an error is logged.
    pub(crate) fn apply(&self, socket: &SockRef<'_>) {
        let keepalive = self.keepalive.map_or(Ok(()), |time| {
            let time = whole_seconds(time);
            let interval = (time / FURTHER_PROBES).max(Duration::from_secs(1));
            let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
            socket.set_tcp_keepalive(&keepalive.with_retries(FURTHER_PROBES))
        });
        let user_timeout =
            self.user_timeout.map_or(Ok(()), |time| socket.set_tcp_user_timeout(Some(time)));
        if let Err(error) = keepalive.and(user_timeout) {
            log::debug!("SO_KEEPALIVE or TCP_USER_TIMEOUT: {error}");
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
            let liveness = Liveness::new(Some(given), IdleTimeouts::default());
            liveness.apply(&SockRef::from(&socket));
            assert!(socket.keepalive().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(expected_s));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), FURTHER_PROBES);
        }
    }

    fn user_timeout(open_s: u64, half_closed_s: u64) -> Option<Duration> {
        let seconds = |s| (s > 0).then(|| Duration::from_secs(s));
        let timeouts = IdleTimeouts { open: seconds(open_s), half_closed: seconds(half_closed_s) };
        Liveness::new(None, timeouts).user_timeout
    }

    #[test]
    fn the_kernel_is_slower_than_the_sweep_or_left_to_itself() {
        assert_eq!(user_timeout(8, 8), Some(Duration::from_secs(10)));
        assert_eq!(user_timeout(8, 16), Some(Duration::from_secs(19)));
        assert_eq!(user_timeout(350, 10), Some(Duration::from_millis(394_750)));
        for (open, half_closed) in [(0, 10), (10, 0), (0, 0), (3600, 10)] {
            assert_eq!(user_timeout(open, half_closed), None);
        }
    }
}
