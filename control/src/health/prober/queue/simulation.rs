//! Fleets of which most targets hang, in virtual time: who waits how long for a check.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{CheckQueue, FAIR_TURN, KEPT_SHARE, Rank};
use testkit::seeds::seeds;

/// All times are in milliseconds.
const PERIOD: u64 = 2000;
const TIMEOUT: u64 = 2000;
/// Longest that a target takes that is well.
const ANSWER_MAX: u64 = 50;
const SEEDS: u64 = 60;
const DURATION: u64 = 300_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerKind {
    Well,
    Refusing,
    Hanging,
    /// It passes, but only just.
    Slow,
}

struct CheckedServer {
    kind: ServerKind,
    rank: Rank,
    due: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum QueueEvent {
    Due(usize),
    /// The check of a member, with the rank it began with and whether it passed.
    Ended(usize, u8, bool),
}

struct QueueWorld {
    random: fastrand::Rng,
    slots: usize,
    now: u64,
    queue: CheckQueue<usize>,
    members: Vec<CheckedServer>,
    events: BinaryHeap<Reverse<(u64, QueueEvent)>>,
    under_way: usize,
    /// By rank, the longest wait of a check that has begun.
    waits: [u64; 4],
}

const ALL: [Rank; 4] = [Rank::Passed, Rank::Unchecked, Rank::Failed, Rank::Hung];

impl QueueWorld {
    /// All are due at once, as at a start.
    fn new(seed: u64, slots: usize, kinds: &[(ServerKind, usize)]) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let kinds = kinds.iter().flat_map(|&(kind, count)| std::iter::repeat_n(kind, count));
        let mut members: Vec<_> =
            kinds.map(|kind| CheckedServer { kind, rank: Rank::Unchecked, due: 0 }).collect();
        random.shuffle(&mut members);
        let events = (0..members.len()).map(|who| Reverse((0, QueueEvent::Due(who)))).collect();
        Self {
            random,
            slots,
            now: 0,
            queue: CheckQueue::new(slots),
            members,
            events,
            under_way: 0,
            waits: [0; 4],
        }
    }

    fn count(&self, kind: ServerKind) -> u64 {
        self.members.iter().filter(|member| member.kind == kind).count() as u64
    }

    fn run_until(&mut self, end: u64) {
        while let Some(&Reverse((at, event))) = self.events.peek()
            && at < end
        {
            self.events.pop();
            self.now = at;
            match event {
                QueueEvent::Due(who) => {
                    self.members[who].due = at;
                    self.queue.add(self.members[who].rank, who);
                }
                QueueEvent::Ended(who, rank, passed) => {
                    self.ended(who, ALL[usize::from(rank)], passed);
                }
            }
            while let Some((rank, who)) = self.queue.start() {
                self.begin(rank, who);
            }
        }
        self.now = end;
    }

    fn begin(&mut self, rank: Rank, who: usize) {
        self.under_way += 1;
        assert!(self.under_way <= self.slots, "{} checks at once", self.under_way);
        let member = &self.members[who];
        let wait = &mut self.waits[rank as usize];
        *wait = (*wait).max(self.now - member.due);
        let (takes, passed) = match member.kind {
            ServerKind::Well => (self.random.u64(1..=ANSWER_MAX), true),
            ServerKind::Refusing => (1, false),
            ServerKind::Hanging => (TIMEOUT, false),
            ServerKind::Slow => (TIMEOUT - 100, true),
        };
        self.events.push(Reverse((self.now + takes, QueueEvent::Ended(who, rank as u8, passed))));
    }

    fn ended(&mut self, who: usize, rank: Rank, passed: bool) {
        self.under_way -= 1;
        self.queue.end(rank);
        let period = self.random.u64(PERIOD * 9 / 10..=PERIOD * 11 / 10);
        let member = &mut self.members[who];
        member.rank = match member.kind {
            _ if passed => Rank::Passed,
            ServerKind::Hanging => Rank::Hung,
            _ => Rank::Failed,
        };
        let next = self.now.max(member.due + period);
        self.events.push(Reverse((next, QueueEvent::Due(who))));
    }

    /// How long the others wait at most while those that pass need no more than what is kept for
    /// them: the rest of the slots is theirs, and each of them takes a timeout at worst.
    fn others_bound(&self) -> u64 {
        let others = self.slots - self.slots / KEPT_SHARE;
        (self.members.len() as u64).div_ceil(others as u64) * TIMEOUT + PERIOD
    }
}

#[test]
fn a_target_that_passes_never_waits_for_those_that_hang() {
    for seed in 0..seeds(SEEDS) {
        let mut random = fastrand::Rng::with_seed(seed);
        let slots = random.usize(10..=200);
        let well = random.usize(1..=slots);
        let kinds = [
            (ServerKind::Well, well),
            (ServerKind::Refusing, random.usize(0..=50)),
            (ServerKind::Hanging, random.usize(0..=1000)),
        ];
        let mut world = QueueWorld::new(seed, slots, &kinds);
        world.run_until(DURATION);
        let kept = (slots / KEPT_SHARE) as u64;
        // All that are well at once, through what is kept for them; and one turn of another.
        let bound = (world.count(ServerKind::Well).div_ceil(kept) + 1) * ANSWER_MAX;
        let wait = world.waits[Rank::Passed as usize];
        assert!(wait <= bound, "seed {seed}: {wait} ms, {slots} slots, {kinds:?}");
        let (wait, bound) = (world.waits.iter().max().unwrap(), world.others_bound());
        assert!(*wait <= bound, "seed {seed}: {wait} of {bound} ms, {slots} slots, {kinds:?}");
    }
}

#[test]
fn targets_that_begin_to_hang_delay_the_others_once() {
    for seed in 0..seeds(SEEDS) {
        let mut world =
            QueueWorld::new(seed, 128, &[(ServerKind::Well, 600), (ServerKind::Hanging, 100)]);
        world.run_until(60_000);
        let turning = world.random.usize(1..=500);
        for member in
            world.members.iter_mut().filter(|it| it.kind == ServerKind::Well).take(turning)
        {
            member.kind = ServerKind::Hanging;
        }
        world.waits = [0; 4];
        world.run_until(120_000);
        let bound = (turning as u64).div_ceil(128) * TIMEOUT + 1000;
        let wait = world.waits[Rank::Passed as usize];
        assert!(wait <= bound, "seed {seed}: {wait} of {bound} ms for {turning}");
        world.waits = [0; 4];
        world.run_until(180_000);
        let wait = world.waits[Rank::Passed as usize];
        assert!(wait <= 1000, "seed {seed}: still {wait} ms");
    }
}

#[test]
fn a_target_that_comes_back_is_found_out_however_busy_the_others_keep_the_slots() {
    for seed in 0..seeds(SEEDS) {
        // Together they would need 500 slots for a check in each period.
        let kinds =
            [(ServerKind::Slow, 500), (ServerKind::Hanging, 50), (ServerKind::Refusing, 50)];
        let mut world = QueueWorld::new(seed, 64, &kinds);
        world.run_until(DURATION);
        // Nobody has more than all the others before it, of which every fair turn takes one.
        let bound = u64::from(FAIR_TURN) * world.members.len() as u64 / 64 * TIMEOUT;
        let longest = *world.waits.iter().max().unwrap();
        assert!(longest <= bound, "seed {seed}: {:?} of {bound} ms", world.waits);
    }
}
