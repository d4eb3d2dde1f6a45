use std::time::Duration;

/// How long a connection is kept while nothing moves on it; `None`: for as long as its peers want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IdleTimeouts {
    /// While both sides may still send.
    pub open: Option<Duration>,
    /// Once a side has sent FIN.
    pub half_closed: Option<Duration>,
}

/// What a sweep remembers of a connection from one visit to the next.
///
/// That something moved is seen by its counts having changed in between: the path of a byte knows
/// nothing of timeouts. The numbers wrap; a coincidence costs one visit's worth of accuracy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// The session's progress as of the last visit.
    progress: u32,
    /// Bytes in both send queues as of the last visit, unless they are not known. A peer that reads
    /// slowly empties them long before there is room for more.
    queued: Option<u16>,
    /// When anything was last seen to have moved, on the sweep's clock.
    moved_ms: u32,
}

impl Idle {
    /// Of a connection that was just accepted.
    pub(crate) fn new(now_ms: u32) -> Self {
        Self { progress: 0, queued: None, moved_ms: now_ms }
    }

    /// When anything was last seen to have moved, on the sweep's clock.
    pub(crate) fn moved_ms(&self) -> u32 {
        self.moved_ms
    }

    /// Whether all that was sent was acknowledged, as of the last visit.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.queued == Some(0)
    }

    /// Whatever happens at present is no idleness.
    pub(crate) fn renew(&mut self, now_ms: u32) {
        self.moved_ms = now_ms;
    }

    /// Notes how far the session has come, and, if that is no further than before, what is `queued`
    /// in its sockets; for how long nothing has moved. That is never more than it was, and less by
    /// at most the time between two visits.
    pub(crate) fn visit(
        &mut self,
        now_ms: u32,
        progress: u32,
        queued: impl FnOnce() -> usize,
    ) -> Duration {
        if progress != self.progress {
            *self = Self { progress, queued: None, moved_ms: now_ms };
        } else if self.queued != Some(0) {
            // Empty, they stay empty until there is progress: that is not asked for again.
            let queued = Some(shortened(queued()));
            if self.queued.is_some() && self.queued != queued {
                self.moved_ms = now_ms;
            }
            self.queued = queued;
        }
        Duration::from_millis(u64::from(now_ms.wrapping_sub(self.moved_ms)))
    }
}

/// 16 bits that differ where `bytes` do, as good as always, and are 0 only where these are.
fn shortened(bytes: usize) -> u16 {
    u16::try_from(bytes % usize::from(u16::MAX))
        .map_or(u16::MAX, |rest| if rest == 0 && bytes > 0 { u16::MAX } else { rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(idle: &mut Idle, now_ms: u32, progress: u32, queued: usize) -> u128 {
        idle.visit(now_ms, progress, || queued).as_millis()
    }

    #[test]
    fn nothing_having_moved_is_counted_from_when_something_last_did() {
        let mut idle = Idle::new(u32::MAX - 5);
        assert_eq!(visit(&mut idle, u32::MAX, 0, 0), 5);
        assert_eq!(visit(&mut idle, 4, 0, 0), 10, "the clock wraps");
        assert_eq!(visit(&mut idle, 20, 7, 0), 0);
        assert_eq!(visit(&mut idle, 50, 7, 0), 30);
        assert_eq!(visit(&mut idle, 60, 6, 0), 0, "counts wrap");
        idle.renew(100);
        assert_eq!(visit(&mut idle, 101, 6, 0), 1);
    }

    #[test]
    fn a_send_queue_that_becomes_shorter_is_a_reader_at_work() {
        let mut idle = Idle::new(0);
        visit(&mut idle, 0, 1, 0);
        assert_eq!(visit(&mut idle, 10, 1, 900_000), 10, "nothing to compare with yet");
        assert_eq!(visit(&mut idle, 20, 1, 899_000), 0);
        assert_eq!(visit(&mut idle, 30, 1, 899_000), 10);
        assert_eq!(visit(&mut idle, 40, 1, 0), 0);
        assert_eq!(idle.visit(50, 1, || panic!("it can't have changed")).as_millis(), 10);
    }

    #[test]
    fn shortened_lengths_tell_empty_from_everything_else() {
        assert_eq!(shortened(0), 0);
        for bytes in [1, 65_534, 65_535, 65_536, 131_070, 4 << 20, usize::MAX] {
            assert_ne!(shortened(bytes), 0, "{bytes}");
        }
        assert_ne!(shortened(65_536), shortened(65_537));
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Idle>() <= 12);
    }
}
