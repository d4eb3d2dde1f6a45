use std::time::{Duration, Instant};

/// A client counts for the rate in full when it comes and fades out over this time.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// The weight of the last connect's time in the average: that of RFC 6298 for round trips.
const CONNECT_WEIGHT: f64 = 1.0 / 8.0;
/// A single connect counts as at most so many times the average: a lost SYN takes a second, which says
/// nothing about the next connect.
const OUTLIER_FACTOR: f64 = 4.0;
/// Connects that take less are not worth being done ahead, in seconds: what a core does in one turn of
/// its loop takes as long.
const WORTHWHILE_SECONDS: f64 = 100e-6;

/// How many connections to one target are worth being there before their clients, on one core.
///
/// While one connect takes place, rate × connect time clients come on average; so many connections have
/// to be there for none of them to wait. Clients come in no order (Poisson): twice the standard
/// deviation is added. Where so few come that even one would be old before it is used, it is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Demand {
    /// Clients of the last [`RATE_WINDOW`], faded, as of `seen`.
    clients: f64,
    seen: Option<Instant>,
    /// None as long as nothing was connected.
    connect_seconds: Option<f64>,
}

impl Demand {
    /// A client for this target came.
    pub(crate) fn note_client(&mut self, now: Instant) {
        self.clients = self.faded(now) + 1.0;
        self.seen = Some(now);
    }

    /// A connect succeeded within `duration`.
    pub(crate) fn note_connect(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        self.connect_seconds = Some(match self.connect_seconds {
            None => seconds,
            Some(mean) => {
                let most = OUTLIER_FACTOR * mean.max(WORTHWHILE_SECONDS);
                mean + CONNECT_WEIGHT * (seconds.min(most) - mean)
            }
        });
    }

    /// How many connections should be there or on their way, of which each may wait for `life`.
    pub(crate) fn wanted(&self, now: Instant, life: Duration) -> usize {
        let Some(connect) = self.connect_seconds.filter(|&seconds| seconds >= WORTHWHILE_SECONDS)
        else {
            return 0;
        };
        let rate = self.faded(now) / RATE_WINDOW.as_secs_f64();
        let used_in_time = rate * life.as_secs_f64();
        if used_in_time < 1.0 {
            return 0;
        }
        let during_connect = rate * connect;
        let wanted = (during_connect + 2.0 * during_connect.sqrt()).ceil().min(used_in_time);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let wanted = wanted as usize;
        wanted.max(1)
    }

    fn faded(&self, now: Instant) -> f64 {
        let since = self.seen.map_or(Duration::ZERO, |seen| now.saturating_duration_since(seen));
        self.clients * (-since.as_secs_f64() / RATE_WINDOW.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_millis(500);

    /// After clients have come for ten seconds at an even rate, and connects have taken so long.
    fn wanted(per_second: u32, connect: Duration, life: Duration) -> usize {
        let (mut demand, start) = (Demand::default(), Instant::now());
        let mut now = start;
        for client in 1..=10 * per_second {
            now = start + Duration::from_secs(client.into()) / per_second;
            demand.note_client(now);
            demand.note_connect(connect);
        }
        demand.wanted(now, life)
    }

    #[test]
    fn as_many_as_clients_come_during_a_connect_and_some_more() {
        let ms = Duration::from_millis;
        assert_eq!(wanted(1000, ms(1), LIFE), 4, "1 + 2 × 1, rounded up from a little more");
        assert_eq!(wanted(1000, ms(16), LIFE), 25, "16 + 2 × 4, rounded up");
        assert_eq!(wanted(10, ms(1), LIFE), 1);
    }

    #[test]
    fn none_where_even_one_would_be_too_old_when_it_is_used() {
        let ms = Duration::from_millis;
        assert_eq!(wanted(1, ms(1), LIFE), 0);
        assert_eq!(wanted(4, ms(1), LIFE), 1);
        assert_eq!(wanted(100, ms(300), LIFE), 42, "30 + 2 × 5.5, 50 could be used");
        assert_eq!(wanted(100, ms(300), ms(100)), 10, "no more than are used in time");
        assert_eq!(wanted(100, ms(1), ms(5)), 0);
    }

    #[test]
    fn none_where_a_connect_takes_no_time() {
        assert_eq!(wanted(10_000, Duration::from_micros(99), LIFE), 0);
        assert_eq!(wanted(10_000, Duration::from_micros(101), LIFE), 4);
    }

    #[test]
    fn none_before_the_first_connect_and_none_once_clients_stay_away() {
        let (mut demand, now) = (Demand::default(), Instant::now());
        (0..100).for_each(|_| demand.note_client(now));
        assert_eq!(demand.wanted(now, LIFE), 0);
        demand.note_connect(Duration::from_millis(1));
        assert_eq!(demand.wanted(now, LIFE), 1);
        assert_eq!(demand.wanted(now + Duration::from_secs(2), LIFE), 1);
        assert_eq!(demand.wanted(now + Duration::from_secs(5), LIFE), 0);
    }

    #[test]
    fn a_lost_syn_does_not_make_many_connections_wanted() {
        let (mut demand, now) = (Demand::default(), Instant::now());
        (0..1000).for_each(|_| demand.note_client(now));
        (0..10).for_each(|_| demand.note_connect(Duration::from_millis(1)));
        demand.note_connect(Duration::from_secs(1));
        assert!(demand.wanted(now, LIFE) <= 5, "{}", demand.wanted(now, LIFE));
    }
}
