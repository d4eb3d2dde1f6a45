use std::time::Duration;

use exchange::RebalanceClose;

use crate::session::Event;
use crate::worker::connection::Connection;

/// For so long nothing must have moved on a connection that is ended in favour of other targets.
/// Twice the time between two visits: it was seen to rest before.
const REST_MIN: Duration = Duration::from_secs(2);

/// Ends a connection, on which nothing has moved for `quiet`, if it was opened before targets joined,
/// at `since_ms`, and if its own target has too many. Times are on the scan's clock.
pub(super) fn visit(
    connection: &mut Connection,
    quiet: Duration,
    since_ms: Option<u32>,
    now_ms: u32,
) -> Option<Event> {
    if connection.rebalance_close.is_some() && !connection.session.is_rebalancing() {
        connection.rebalance_close = None; // something came at the last moment: it stays
    }
    let may_go = quiet >= REST_MIN
        && connection.rebalance_close.is_none()
        && is_older(connection.scan.accepted_ms, since_ms?, now_ms)
        && connection.scan.activity.is_acknowledged()
        && connection.session.is_at_rest();
    if may_go && let Some(target) = connection.upstream.target() {
        connection.rebalance_close = RebalanceClose::take(target.load().counters());
    } else {
        return None;
    }
    connection.rebalance_close.is_some().then_some(Event::Rebalance)
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
