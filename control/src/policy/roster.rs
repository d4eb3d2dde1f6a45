mod assessment;
mod breakers;
mod drain_orders;
mod member;
mod members;
mod rules;
mod warmup;

use std::collections::BTreeSet;
use std::collections::btree_map::Entry as Slot;
use std::sync::Arc;
use std::time::Instant;

use exchange::{
    Affinity, Eligibility, Entry, Ramp, RebalanceBudget, Routing, Snapshot, Target, TargetId,
};

use crate::policy::breaker::Transitions;
use crate::policy::identity::Identity;
use crate::policy::locality::localities;
use crate::policy::rebalance::{Load, Rebalance, shares};
use crate::status::{Status, TargetStatus};
use assessment::Assessment;
pub(crate) use drain_orders::address_in;
use drain_orders::{DrainOrders, Whom};
use member::{Member, Used};
use members::Members;
pub use rules::Rules;
use warmup::{Facts, Warmup};

/// All known targets and what follows from them. Pure: it does no I/O and reads no clock. The times
/// it is told are monotonic and never go back.
#[derive(Debug)]
pub struct Roster {
    rules: Rules,
    /// Ordered, so that every instance lists the same targets alike.
    members: Members,
    /// Where this balancer is, once known and where it matters.
    own_zone: Option<Arc<str>>,
    /// Where clients keep their targets, the latest table.
    affinity: Option<Arc<Affinity>>,
    /// How often circuit breakers have changed.
    transitions: Transitions,
    /// What operators want to drain, known or not.
    drain_orders: DrainOrders,
    /// Whether clients are let in.
    warmup: Warmup,
    /// Which connections are closed in favour of targets that join.
    rebalance: Rebalance,
    latest: Arc<Status>,
}

impl Roster {
    /// One that knows of no target yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            members: Members::default(),
            own_zone: None,
            affinity: None,
            transitions: Transitions::default(),
            drain_orders: DrainOrders::default(),
            warmup: Warmup::new(rules.warmup_max, rules.affinity),
            rebalance: Rebalance::new(rules.policy.rebalance_rate),
            latest: Arc::default(),
        }
    }

    /// The targets are these now. Known ones keep their history, even when they were draining;
    /// those that are gone drain.
    pub fn discovered(&mut self, targets: Vec<Target>, now: Instant) {
        self.warmup.discovered();
        let mut gone: BTreeSet<Identity> = self.members.keys().cloned().collect();
        for target in targets {
            let identity = Identity::of(&target);
            gone.remove(&identity);
            match self.members.entry(identity) {
                Slot::Occupied(slot) => {
                    let member = slot.into_mut();
                    member.drain.discover();
                    if *member.target != target {
                        // Its zone became known or was corrected.
                        member.target = Arc::new(target);
                    }
                }
                Slot::Vacant(slot) => {
                    let order = self.drain_orders.since(slot.key());
                    slot.insert(Member::new(target, &self.rules)).drain.order(order);
                }
            }
        }
        for identity in gone {
            if let Some(member) = self.members.get_mut(&identity) {
                member.drain.withdraw(now);
            }
        }
    }

    /// An operator wants the targets called so to drain, also when they come back after having been
    /// away: those with this id or, where there are none, the one at this address. False if there
    /// are none and never were.
    pub fn drain(&mut self, name: &TargetId, now: Instant) -> bool {
        for target in members::called(&self.members, name) {
            let whom = if target.id == *name { Whom::all(name) } else { Whom::only(&target) };
            self.order_drain(whom, now);
        }
        members::follow(&mut self.members, &self.drain_orders);
        self.drain_orders.are_for(name)
    }

    /// An operator does not want the targets called so to drain any more, nor when they come back
    /// after having been away. False if there are none and no such order stood.
    pub fn undrain(&mut self, name: &TargetId) -> bool {
        let was_drained = self.drain_orders.remove_called(name);
        let called = members::called(&self.members, name);
        for target in called.iter().filter(|target| target.id != *name) {
            // The others with its id go on draining.
            let Some(since) = self.drain_orders.remove(&Whom::all(&target.id)) else { continue };
            let others =
                self.members.keys().filter(|it| it.id == target.id && !called.contains(it));
            for other in others.map(Whom::only).collect::<Vec<_>>() {
                self.order_drain(other, since);
            }
        }
        members::follow(&mut self.members, &self.drain_orders);
        was_drained || !called.is_empty()
    }

    fn order_drain(&mut self, whom: Whom, since: Instant) {
        let members = &self.members;
        self.drain_orders.add(whom, since, |whom| members::is_known(members, whom));
    }

    /// The targets to be checked: all that are discovered, also those an operator drains.
    pub fn to_be_checked(&self) -> impl Iterator<Item = &Target> {
        let discovered = self.members.values().filter(|member| !member.drain.is_withdrawn());
        discovered.map(|member| &*member.target)
    }

    /// This balancer is in `zone`, and prefers targets that are too.
    pub fn located(&mut self, zone: Arc<str>) {
        self.own_zone = Some(zone);
    }

    /// Clients' targets are these from now on.
    pub fn mapped(&mut self, affinity: Arc<Affinity>) {
        self.affinity = Some(affinity);
    }

    /// The targets that a table is wanted of: those that clients are about to be let in to, or else
    /// those that are eligible in the latest snapshot.
    pub fn to_be_mapped(&self) -> impl Iterator<Item = &Arc<Target>> {
        let awaited = self.warmup.awaited();
        let eligible = self.latest.eligible().filter(move |_| awaited.is_none());
        awaited.into_iter().flatten().chain(eligible.map(TargetStatus::target))
    }

    /// A check of `target` that began then has passed, or failed for the reason given. Late results
    /// of targets that have left are ignored. Whether [`Roster::status`] may say something else now:
    /// it looks at every target, which is too much for each check that says what the last one did.
    pub fn checked(&mut self, target: &Identity, result: Result<(), &str>, began: Instant) -> bool {
        let Some(member) = self.members.get_mut(target) else { return false };
        if member.drain.is_withdrawn() {
            return false;
        }
        let before = (member.health.clone(), member.breaker.state(), member.breaker.due());
        let mut is_other_failure = false;
        member.health.record(result.is_ok(), self.rules.rise, self.rules.fall);
        match result {
            Ok(()) => self.transitions.count(member.breaker.passed(began)),
            Err(reason) => {
                member.counters.failed_checks().increment();
                if member.failure.as_deref() != Some(reason) {
                    member.failure = Some(reason.into());
                    is_other_failure = true;
                }
            }
        }
        let after = (member.health.clone(), member.breaker.state(), member.breaker.due());
        is_other_failure || before != after
    }

    /// A check of `target` could not be made, by no fault of the target. Whether [`Roster::status`]
    /// may say something else now.
    pub fn not_checked(&mut self, target: &Identity) -> bool {
        let Some(member) = self.members.get_mut(target) else { return false };
        let was_known = member.health.has_first_result();
        member.health.note_unknown();
        !was_known
    }

    /// To be called every so often: forgets withdrawn targets that have no connections left.
    pub fn tick(&mut self, _now: Instant) {
        self.members.retain(|_, member| !member.drain.tick(member.counters.active() == 0));
    }

    /// The status at `now`, another one if anything in it has changed since the last call. The snapshot
    /// in it is another one only if cores are to route in another way.
    pub fn status(&mut self, now: Instant) -> Arc<Status> {
        for member in self.members.values_mut() {
            self.transitions.count(member.breaker.connected(member.counters.connected()));
        }
        let assessment = self.assess(now);
        let Assessment { fail_open, admits, mut entries, conditions } = assessment;
        self.ramp_up(&mut entries, fail_open, now);
        let snapshot = self.route(entries, fail_open, admits, now);
        let next = Status::new(
            snapshot,
            fail_open,
            conditions,
            members::drained_absent(&self.members, &self.drain_orders),
        );
        let generation = self.latest.generation();
        let next = next.with_generation(generation);
        if next != *self.latest {
            self.latest = Arc::new(next.with_generation(generation.next()));
        }
        Arc::clone(&self.latest)
    }

    /// When a later call of [`Roster::status`] or [`Roster::begin_attempts`] than one at `now` will
    /// say something else although nothing has happened.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let dues = self.members.values().filter_map(|member| {
            let attempt = member.breaker.due().filter(|_| member.is_wanted());
            attempt.or_else(|| member.drain.due(self.rules.policy.drain_timeout))
        });
        dues.chain(self.warmup.due()).filter(|due| *due > now).min()
    }

    /// When [`Roster::rebalance`] is to be called next, if at all.
    pub fn rebalance_due(&self) -> Option<Instant> {
        self.rebalance.due()
    }

    /// Lets old connections be closed, by the latest snapshot, in favour of targets that have
    /// joined. `draw` draws from 0.0 up to, not including, 1.0.
    pub fn rebalance(&mut self, now: Instant, draw: &mut dyn FnMut() -> f64) {
        let budgets = self.members.values().map(|member| member.counters.rebalance_budget());
        let unused = budgets.map(RebalanceBudget::take_back).sum();
        if self.latest.fail_open() {
            // Nobody knows what a target can carry.
            return self.rebalance.pause(now, draw);
        }
        // Those that get no new connections keep what they have.
        let routing = self.latest.snapshot().routing();
        let used = routing.entries().iter().zip(shares(routing, now));
        let (entries, loads): (Vec<_>, Vec<_>) = used
            .filter(|(_, share)| *share > 0.0)
            .map(|(entry, share)| (entry, Load::of(entry.counters(), share)))
            .unzip();
        let is_final = !entries.iter().any(|it| it.ramp().is_some_and(|ramp| ramp.part(now) < 1.0));
        let grants = self.rebalance.grant(now, &loads, unused, is_final, draw);
        for (entry, count) in entries.into_iter().zip(grants) {
            entry.counters().rebalance_budget().grant(count);
        }
    }

    /// What becomes of each target. The entries' ramps are still missing.
    fn assess(&mut self, now: Instant) -> Assessment {
        let present = || self.members.values().filter(|member| !member.drain.is_draining());
        let count = present().count();
        let healthy = present().filter(|member| member.is_fit()).count();
        let passing = present().filter(|member| member.health.is_healthy()).count();
        let known = present().filter(|member| member.health.has_first_result()).count();

        let are_all_checked = count > 0 && known == count;
        let are_too_few =
            |good| good * 100 <= usize::from(self.rules.policy.fail_open_threshold) * count;
        // It begins only once all are known, or where circuit breakers leave nobody else. A newcomer
        // does not end it: that would leave clients without any target until the newcomer's first
        // check is over.
        let may_be =
            are_all_checked || self.latest.fail_open() && known > 0 || healthy == 0 && passing > 0;
        let used = match are_too_few(healthy) && may_be {
            false => Used::Fit,
            // Only circuit breakers are to blame.
            true if !are_too_few(passing) => Used::Passing,
            true => Used::All,
        };

        let assessed = self.members.values().map(|it| it.assess(used, &self.rules, now));
        let (mut entries, conditions): (Vec<_>, Vec<_>) = assessed.unzip();
        let usable = entries.iter().filter(|it| it.is_eligible()).map(Entry::target).collect();
        let table = self.affinity.as_deref();
        let facts = Facts { is_any: count > 0, are_all_checked, usable, table };
        let admits = self.warmup.admits(&facts, now);
        if !admits {
            let unused = |entry: Entry| entry.with_eligibility(Eligibility::None);
            entries = entries.into_iter().map(unused).collect();
        }
        Assessment { fail_open: admits && used != Used::Fit, admits, entries, conditions }
    }

    /// The latest snapshot, if there is nothing new to route by, or the next one.
    fn route(
        &mut self,
        entries: Vec<Entry>,
        fail_open: bool,
        admits: bool,
        now: Instant,
    ) -> Arc<Snapshot> {
        // Under fail-open nobody knows what a zone can carry.
        let localities = match &self.own_zone {
            Some(own_zone) if !fail_open => localities(own_zone, zones_of(&entries)),
            _ => Vec::new(),
        };
        let routing = Routing::to(entries)
            .with_admits(admits)
            .with_own_zone(self.own_zone.clone())
            .with_localities(localities)
            .with_affinity(self.affinity.clone())
            .with_rebalanced_since(self.rebalance.since());
        let latest = Arc::clone(self.latest.snapshot());
        if routing == *latest.routing() {
            return latest;
        }
        let routing = self.without_past_ramps(routing, now);
        Arc::new(Snapshot::new(self.latest.generation().next(), routing))
    }

    /// That a ramp is over is no news, since it says so itself: it goes with whatever is news.
    fn without_past_ramps(&mut self, routing: Routing, now: Instant) -> Routing {
        for member in self.members.values_mut() {
            member.ramp = member.ramp.filter(|ramp| ramp.part(now) < 1.0);
        }
        let ramps = self.members.values().map(|member| member.ramp);
        let entries = routing.entries().iter().cloned().zip(ramps);
        let entries = entries.map(|(entry, ramp)| entry.with_ramp(ramp)).collect();
        routing.with_entries(entries)
    }

    /// Begins the ramps of targets that become eligible, as far as they join others: not those that
    /// clients are let in to at once, be it at the start or after none was left, nor under fail-open.
    fn ramp_up(&mut self, entries: &mut [Entry], fail_open: bool, now: Instant) {
        let joins = self.latest.eligible().next().is_some() && !fail_open;
        let ramps = joins && !self.rules.policy.slow_start.is_zero();
        let ramp = ramps.then(|| Ramp::new(now, self.rules.policy.slow_start));
        let mut has_joined = false;
        for (member, entry) in self.members.values_mut().zip(entries) {
            member.ramp = match (entry.is_eligible(), member.was_eligible) {
                (false, _) => None,
                (true, false) => ramp,
                (true, true) => member.ramp,
            };
            has_joined |= joins && entry.is_eligible() && !member.was_eligible;
            member.was_eligible = entry.is_eligible();
            *entry = entry.clone().with_ramp(member.ramp);
        }
        if has_joined {
            self.rebalance.begin(now);
        }
    }
}

/// The eligible entries' numbers and zones.
fn zones_of(entries: &[Entry]) -> impl Iterator<Item = (usize, Option<&str>)> {
    let eligible = entries.iter().enumerate().filter(|(_, entry)| entry.is_eligible());
    eligible.map(|(index, entry)| (index, entry.target().zone.as_deref()))
}

#[cfg(test)]
mod tests;
