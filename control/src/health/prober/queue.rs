use std::collections::VecDeque;

/// Of so many slots one is kept for targets whose last check passed. However many others hang, a
/// target in use then waits for no timeout but its own kind's.
const KEPT_SHARE: usize = 4;

/// Every so many-th slot goes to whoever has waited longest, so that nobody waits for ever.
const FAIR_TURN: u32 = 4;

/// What is known of a target whose check is due. Who stands first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Its last check passed.
    Passed,
    /// It was never checked.
    Unchecked,
    /// Its last check failed, but did not take long: one that comes back is found out soon.
    Failed,
    /// Its last check failed and took long, and the next one probably will.
    Hung,
}

const RANKS: usize = 4;

/// Whose check begins next where there are fewer slots than targets. Pure: whoever adds and ends
/// checks has to ask for the next ones.
#[derive(Debug)]
pub(crate) struct CheckQueue<T> {
    slots: usize,
    /// By rank; each with its number in the order of arrival.
    waiting: [VecDeque<(u64, T)>; RANKS],
    arrivals: u64,
    starts: u32,
    /// Checks under way, and those of them that are not of targets whose last check passed.
    under_way: usize,
    others_under_way: usize,
}

impl<T> CheckQueue<T> {
    /// A queue before so many slots; at least one.
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            slots: slots.max(1),
            waiting: [const { VecDeque::new() }; RANKS],
            arrivals: 0,
            starts: 0,
            under_way: 0,
            others_under_way: 0,
        }
    }

    /// How many checks there may be at a time.
    pub(crate) fn slots(&self) -> usize {
        self.slots
    }

    /// `who` is to be checked.
    pub(crate) fn add(&mut self, rank: Rank, who: T) {
        self.waiting[rank as usize].push_back((self.arrivals, who));
        self.arrivals += 1;
    }

    /// Whose check begins now, if there is a slot for one.
    pub(crate) fn start(&mut self) -> Option<(Rank, T)> {
        if self.under_way >= self.slots {
            return None;
        }
        let have_room = self.others_under_way < self.slots - self.slots / KEPT_SHARE;
        let others = [Rank::Unchecked, Rank::Failed, Rank::Hung];
        let others = others.into_iter().filter(|_| have_room);
        let mut next = std::iter::once(Rank::Passed)
            .chain(others)
            .filter_map(|rank| Some((self.waiting[rank as usize].front()?.0, rank)));
        let is_fair_turn = self.starts % FAIR_TURN == FAIR_TURN - 1;
        let (_, rank) = if is_fair_turn { next.min_by_key(|next| next.0) } else { next.next() }?;
        let (_, who) = self.waiting[rank as usize].pop_front()?;
        self.starts = self.starts.wrapping_add(1);
        self.under_way += 1;
        self.others_under_way += usize::from(rank != Rank::Passed);
        Some((rank, who))
    }

    /// A check that began with this rank has ended.
    pub(crate) fn end(&mut self, rank: Rank) {
        self.under_way -= 1;
        self.others_under_way -= usize::from(rank != Rank::Passed);
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod simulation;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_passed_goes_first_and_who_hung_goes_last() {
        let ranks = [Rank::Passed, Rank::Unchecked, Rank::Failed, Rank::Hung];
        for (first, second) in [(0, 1), (1, 2), (2, 3)].map(|(a, b)| (ranks[a], ranks[b])) {
            let mut queue = CheckQueue::new(4);
            queue.add(second, 'b');
            queue.add(first, 'a');
            queue.add(first, 'c');
            let order: String = std::iter::from_fn(|| queue.start()).map(|(_, who)| who).collect();
            assert_eq!(order, "acb", "{first:?} before {second:?}");
        }
    }

    #[test]
    fn a_quarter_of_the_slots_is_kept_for_those_that_passed() {
        let mut queue = CheckQueue::new(8);
        for who in 0..20 {
            queue.add([Rank::Unchecked, Rank::Failed, Rank::Hung][who % 3], who);
        }
        assert_eq!(std::iter::from_fn(|| queue.start()).count(), 6);
        for who in 20..30 {
            queue.add(Rank::Passed, who);
        }
        let started: Vec<_> = std::iter::from_fn(|| queue.start()).collect();
        assert_eq!(started, [(Rank::Passed, 20), (Rank::Passed, 21)]);
        assert_eq!(queue.len(), 22);
    }

    #[test]
    fn a_single_slot_is_everybodys() {
        let mut queue = CheckQueue::new(0);
        queue.add(Rank::Hung, 1);
        assert_eq!(queue.start(), Some((Rank::Hung, 1)));
        queue.add(Rank::Passed, 2);
        assert_eq!(queue.start(), None);
        queue.end(Rank::Hung);
        assert_eq!(queue.start(), Some((Rank::Passed, 2)));
    }

    #[test]
    fn every_fourth_slot_goes_to_whoever_has_waited_longest() {
        let mut queue = CheckQueue::new(100);
        queue.add(Rank::Hung, 0);
        for who in 1..=20 {
            queue.add(Rank::Passed, who);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.start()).map(|(_, who)| who).collect();
        assert_eq!(order[..6], [1, 2, 3, 0, 4, 5]);
    }
}
