use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::sources::Source;

/// Which sources still have a local port towards one target, as far as one core knows.
///
/// To say that there is none the kernel looks at every port, on the core that asks: tens of
/// microseconds to milliseconds. So a source whose ports have run out rests.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// Where the next dial comes from, if it can.
    next: Cell<usize>,
    /// Until when each source rests; empty as long as none has had to.
    resting: RefCell<Vec<Option<Instant>>>,
}

/// How long a source rests.
const REST: Duration = Duration::from_millis(20);

impl Ports {
    /// The next in turn of `count` sources, of those that do not rest.
    pub(crate) fn next_source(&self, count: usize, now: Instant) -> Option<Source> {
        let first = self.next.get();
        let resting = self.resting.borrow();
        let rests =
            |source: usize| resting.get(source).copied().flatten().is_some_and(|until| now < until);
        let turn = (0..count).map(|step| (first + step) % count).find(|&source| !rests(source))?;
        self.next.set((turn + 1) % count);
        Some(Source::new(turn))
    }

    /// From `source` no port is left.
    pub(crate) fn note_exhausted(&self, source: Source, now: Instant) {
        let mut resting = self.resting.borrow_mut();
        if resting.len() <= source.number() {
            resting.resize(source.number() + 1, None);
        }
        resting[source.number()] = Some(now + REST);
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
        ports.note_exhausted(Source::new(2), start + REST / 2);
        assert_eq!(next(start + REST / 2), None);
        assert_eq!([(); 3].map(|()| next(start + REST)), [0, 1, 0].map(Some));
        assert_eq!(next(start + 2 * REST), Some(1));
        assert_eq!(next(start + 2 * REST), Some(2));
    }
}
