use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::selection::source_addresses::Source;

/// Which sources still have a local port towards one target, as far as one core knows.
///
/// To say that there is none the kernel looks at every port, on the core that asks: 6 ms for the
/// usual range. So a source whose ports have run out rests, and longer if they soon do so again.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// Where the next connect comes from, if it can.
    next: Cell<usize>,
    /// When each source has to rest, or had to; empty as long as none has had to.
    rests: RefCell<Vec<Option<Rest>>>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    length: Duration,
}

/// How long a source rests at first, and at most.
const REST_MIN: Duration = Duration::from_millis(20);
const REST_MAX: Duration = Duration::from_secs(1);

impl Ports {
    /// The next in turn of `count` sources, of those that do not rest.
    pub(crate) fn next_source(&self, count: usize, now: Instant) -> Option<Source> {
        let first = self.next.get();
        let rests = self.rests.borrow();
        let rests =
            |source: usize| rests.get(source).copied().flatten().is_some_and(|it| now < it.until);
        let turn = (0..count).map(|step| (first + step) % count).find(|&source| !rests(source))?;
        self.next.set((turn + 1) % count);
        Some(Source::new(turn))
    }

    /// From `source` no port is left.
    pub(crate) fn note_exhausted(&self, source: Source, now: Instant) {
        let mut rests = self.rests.borrow_mut();
        if rests.len() <= source.number() {
            rests.resize(source.number() + 1, None);
        }
        let rest = &mut rests[source.number()];
        let length = match *rest {
            // Of several connects at once, the first has told it.
            Some(Rest { until, .. }) if now < until => return,
            // What had come free meanwhile did not last for as long as it took.
            Some(Rest { until, length }) if now < until + length => (length * 2).min(REST_MAX),
            _ => REST_MIN,
        };
        *rest = Some(Rest { until: now + length, length });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_take_turns_and_rest_when_their_ports_have_run_out() {
        let ports = Ports::default();
        let start = Instant::now();
        let next = |now| ports.next_source(3, now).map(Source::number);
        assert_eq!([(); 4].map(|()| next(start)), [0, 1, 2, 0].map(Some));
        ports.note_exhausted(Source::new(1), start);
        assert_eq!([(); 3].map(|()| next(start)), [2, 0, 2].map(Some));
        ports.note_exhausted(Source::new(0), start);
        ports.note_exhausted(Source::new(2), start + REST_MIN / 2);
        assert_eq!(next(start + REST_MIN / 2), None);
        assert_eq!([(); 3].map(|()| next(start + REST_MIN)), [0, 1, 0].map(Some));
        assert_eq!(next(start + 2 * REST_MIN), Some(1));
        assert_eq!(next(start + 2 * REST_MIN), Some(2));
    }

    #[test]
    fn what_stays_exhausted_is_asked_ever_more_rarely() {
        let ports = Ports::default();
        let start = Instant::now();
        // Clients all the time, and a port that comes free every 100 ms.
        let mut asked = 0;
        let mut free = 0;
        for ms in 0..60_000 {
            free += u32::from(ms % 100 == 0);
            let now = start + Duration::from_millis(ms);
            if let Some(source) = ports.next_source(1, now) {
                if free > 0 {
                    free -= 1;
                } else {
                    asked += 1;
                    ports.note_exhausted(source, now);
                }
            }
        }
        assert!(asked <= 70, "{asked} times in a minute");
        // It is not held against the source for ever.
        let later = start + Duration::from_mins(2);
        let source = ports.next_source(1, later).unwrap();
        ports.note_exhausted(source, later);
        assert!(ports.next_source(1, later + REST_MIN).is_some());
    }
}
