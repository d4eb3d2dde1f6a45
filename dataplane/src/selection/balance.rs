//! Which of the eligible targets gets a new connection.

#[cfg(test)]
mod failing;
#[cfg(test)]
mod simulation;
mod slow_start;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use exchange::{ClientKey, Locality};

use crate::selection::candidates::Candidates;
use crate::selection::local_target::LocalTarget;
use crate::selection::targets::{LocalLocality, Targets};

/// How the target of a new connection is chosen among the eligible ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// The less loaded of two chosen at random (Mitzenmacher, "The Power of Two Choices in
    /// Randomized Load Balancing", 2001).
    #[default]
    P2c,
    /// Each in turn.
    RoundRobin,
    /// Any, at random.
    Random,
    /// The one with the fewest connections.
    LeastConnections,
    /// That of the client's address, as every core and instance sees it ([`exchange::Affinity`]);
    /// neither zones nor load are heeded.
    Maglev,
}

impl Balance {
    /// What a client's target follows from, if it follows from who the client is.
    pub(crate) fn client_key(self, client: Option<SocketAddr>) -> Option<ClientKey> {
        match self {
            Self::Maglev => client.map(|client| ClientKey::of(client.ip())),
            _ => None,
        }
    }

    /// Whether it matters how many connections a target has.
    pub(crate) fn heeds_load(self) -> bool {
        match self {
            Self::P2c | Self::LeastConnections => true,
            Self::RoundRobin | Self::Random | Self::Maglev => false,
        }
    }
}

/// One core's choice. Load is what all cores have open, the others as last read. Among the two of
/// p2c the first drawn wins a tie; among those with the fewest connections the one that has waited
/// longest for a client of any core.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    rng: fastrand::Rng,
    /// Whose turn it is: among all eligible targets first, then in each locality.
    turns: Vec<usize>,
}

impl Balancer {
    /// Draws from `rng`.
    pub fn new(balance: Balance, mut rng: fastrand::Rng) -> Self {
        let turns = vec![rng.usize(..1 << 16)];
        Self { balance, rng, turns }
    }

    /// An eligible target that is not among the `tried` ones. A first choice heeds the shares of
    /// localities; another one is better than waiting for those that may all be down.
    pub fn pick(
        &mut self,
        targets: &Targets,
        tried: &[Rc<LocalTarget>],
        now: Instant,
    ) -> Option<Rc<LocalTarget>> {
        if !tried.is_empty() {
            return self.pick_another(targets.eligible(), tried, now);
        }
        let picked = match self.draw(targets.localities()) {
            None => self.pick_among(targets.candidates(), 0, now),
            Some((index, locality)) => self.pick_among(&locality.targets, index + 1, now),
        };
        if self.balance == Balance::LeastConnections
            && let Some(target) = &picked
        {
            let last = targets.eligible().iter().map(|target| target.load().last_pick()).max();
            target.load().take_pick(last.unwrap_or(0) + 1);
        }
        picked
    }

    /// A locality, each as likely as its share is large.
    fn draw<'a>(&mut self, localities: &'a [LocalLocality]) -> Option<(usize, &'a LocalLocality)> {
        if localities.len() <= 1 {
            return localities.first().map(|only| (0, only));
        }
        let mut left = self.rng.u32(..Locality::WHOLE);
        localities.iter().enumerate().find(|(_, locality)| {
            let is_drawn = left < locality.share;
            left = left.saturating_sub(locality.share);
            is_drawn
        })
    }

    /// One of the candidates; `turn` tells them from others whose turns are counted.
    fn pick_among(
        &mut self,
        candidates: &Candidates,
        turn: usize,
        now: Instant,
    ) -> Option<Rc<LocalTarget>> {
        let targets = candidates.all();
        if targets.is_empty() {
            return None;
        }
        if candidates.are_ramping(now) {
            return Some(Rc::clone(self.pick_ramping(candidates, turn, now)));
        }
        let chosen = match self.balance {
            Balance::P2c => self.less_loaded_of_two(targets),
            // A client whose address is not known keeps no target.
            Balance::Random | Balance::Maglev => self.any(targets),
            Balance::RoundRobin => self.next_in_turn(targets, turn),
            Balance::LeastConnections => self.least_loaded(targets, |target| target.load().total()),
        };
        Some(Rc::clone(chosen))
    }

    /// For a retry: those first that were reached when last connected. Rare, so it may look at all.
    fn pick_another(
        &mut self,
        eligible: &[Rc<LocalTarget>],
        tried: &[Rc<LocalTarget>],
        now: Instant,
    ) -> Option<Rc<LocalTarget>> {
        let is_fresh = |target: &&Rc<LocalTarget>| !tried.iter().any(|old| Rc::ptr_eq(old, target));
        let fresh = || eligible.iter().filter(is_fresh);
        let best = fresh().map(|target| target.last_connect()).min()?;
        let fresh: Candidates =
            fresh().filter(|target| target.last_connect() == best).cloned().collect();
        if self.balance == Balance::RoundRobin {
            // A turn taken here would be missing elsewhere: of two targets, the one that is down
            // would be the next client's again, and so each client's.
            let drawn = self.any(fresh.all());
            return Some(Rc::clone(self.keep_or_replace(drawn, &fresh, now)));
        }
        self.pick_among(&fresh, 0, now)
    }

    fn any<'a>(&mut self, targets: &'a [Rc<LocalTarget>]) -> &'a Rc<LocalTarget> {
        &targets[self.rng.usize(..targets.len())]
    }

    fn less_loaded_of_two<'a>(&mut self, eligible: &'a [Rc<LocalTarget>]) -> &'a Rc<LocalTarget> {
        let (first, second) = self.any_two(eligible);
        if second.load().total() < first.load().total() { second } else { first }
    }

    /// Two distinct ones, unless there is only one.
    fn any_two<'a>(
        &mut self,
        targets: &'a [Rc<LocalTarget>],
    ) -> (&'a Rc<LocalTarget>, &'a Rc<LocalTarget>) {
        let first = self.rng.usize(..targets.len());
        if targets.len() == 1 {
            return (&targets[0], &targets[0]);
        }
        // The second is drawn from the others.
        let second = (first + self.rng.usize(1..targets.len())) % targets.len();
        (&targets[first], &targets[second])
    }

    fn next_in_turn<'a>(
        &mut self,
        eligible: &'a [Rc<LocalTarget>],
        turn: usize,
    ) -> &'a Rc<LocalTarget> {
        while self.turns.len() <= turn {
            self.turns.push(self.rng.usize(..1 << 16));
        }
        self.turns[turn] = self.turns[turn].wrapping_add(1);
        &eligible[self.turns[turn] % eligible.len()]
    }

    /// Of those with the least load, the one whose last turn is longest ago.
    fn least_loaded<'a, L: PartialOrd>(
        &mut self,
        eligible: &'a [Rc<LocalTarget>],
        load: impl Fn(&LocalTarget) -> L,
    ) -> &'a Rc<LocalTarget> {
        // Among those that never had one the first one wins: start elsewhere.
        let (after, before) = eligible.split_at(self.rng.usize(..eligible.len()));
        let mut all = before.iter().chain(after);
        let first = all.next().expect("not empty");
        let key = |target: &LocalTarget| (load(target), target.load().last_pick());
        let least = all.fold((first, key(first)), |(least, its_key), target| {
            let key = key(target);
            if key < its_key { (target, key) } else { (least, its_key) }
        });
        least.0
    }
}
