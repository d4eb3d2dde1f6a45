use std::time::Duration;

use exchange::RebalanceClose;
use rustix::net::{RecvFlags, recv};

use super::Worker;
use crate::flow::Key;
use crate::flow::Side;
use crate::session::Event;

/// For so long nothing must have moved on a connection that is ended in favour of other targets.
/// Twice the time between two visits: it was seen to rest before.
pub(super) const REST_MIN: Duration = Duration::from_secs(2);

impl Worker {
    /// Ends a connection, on which nothing has moved for `quiet`, if it makes room for targets that
    /// joined after it was opened and if its own target has too many.
    pub(super) fn make_room(&mut self, key: Key, quiet: Duration) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.leaving.is_some() && !connection.session.is_retiring() {
            connection.leaving = None; // something came at the last moment: it stays
        }
        let Some(since) = self.targets.rebalanced_since() else { return };
        let (since_ms, now_ms) = (self.sweep.clock_ms(since), self.sweep.clock_ms(self.now));
        let may_go = quiet >= REST_MIN
            && connection.leaving.is_none()
            && is_older(connection.accepted_ms, since_ms, now_ms)
            && connection.idle.is_acknowledged()
            && connection.session.is_at_rest();
        if may_go && let Some(target) = connection.chosen() {
            connection.leaving = RebalanceClose::take(target.counters());
            if connection.leaving.is_some() {
                self.feed(key, Event::Retire);
            }
        }
    }

    /// Looks whether anything has come from either side that was not received.
    pub(super) fn inspect(&mut self, key: Key) -> Option<Event> {
        let connection = self.connections.get_mut(key)?;
        let sockets = Side::BOTH.map(|side| connection.socket(side));
        let is_empty = sockets.into_iter().flatten().all(|socket| {
            let result = recv(socket, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            result.is_err_and(|error| error == rustix::io::Errno::AGAIN)
        });
        Some(Event::Inspected { is_empty })
    }
}

/// Whether what was accepted at `accepted_ms` was there by `since_ms`, on a clock that wraps: it shows
/// `now_ms`. What is older than the clock counts is taken for younger, but not for long.
fn is_older(accepted_ms: u32, since_ms: u32, now_ms: u32) -> bool {
    now_ms.wrapping_sub(accepted_ms) >= now_ms.wrapping_sub(since_ms)
}

#[cfg(test)]
mod tests {
    use super::is_older;

    const DAY_MS: u32 = 24 * 60 * 60 * 1000;

    #[test]
    fn who_came_after_the_join_is_not_older() {
        assert!(is_older(5, 5, 7) && is_older(5, 6, 7) && is_older(u32::MAX - 5, 3, 4));
        assert!(!is_older(6, 5, 7) && !is_older(3, u32::MAX - 5, 4));
    }

    #[test]
    fn who_has_been_there_for_weeks_is_older() {
        for start in [0, u32::MAX - 5] {
            let at = |days: u32| start.wrapping_add(days * DAY_MS);
            for age in [1, 24, 25, 30, 48] {
                assert!(is_older(at(0), at(age), at(age).wrapping_add(DAY_MS)), "{age} days");
                assert!(!is_older(at(age), at(0), at(age)), "{age} days");
            }
        }
    }
}
