use std::collections::{BTreeSet, HashMap};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::breaker::ConnectAttempt;
use control::policy::{Identity, Roster};
use control::status::Status;
use dataplane::Balance;
use exchange::{ClientKey, Report, Target, TargetId};

use crate::agenda::Agenda;
use crate::core::{Client, Core, Dropped};
use crate::faults::{self, Fault};
use crate::host::Host;
use crate::invariants::Invariants;
use crate::rules::{
    CHECK_PERIOD, DISCOVERY_PERIOD, LEAVING_MAX, PICKUP_MAX, REPORT_MAX, Setting, TICK,
};

const REFUSED: ErrorKind = ErrorKind::ConnectionRefused;

/// What happens in the fleet.
#[derive(Debug)]
pub(crate) enum Event {
    /// Discovery answers.
    Discover,
    /// A target's turn to be checked has come; of an earlier stay of it unless the number is right.
    Check(Identity, u64),
    /// The check that began then is over.
    Checked(Identity, u64, bool, Instant),
    /// Control looks at what is to be forgotten.
    Tick,
    /// Control has something to do without anything having happened.
    Due,
    /// A core looks for a snapshot.
    PickUp(usize),
    /// The attempt of control to connect that began then is over; whether it reached the target.
    Attempted(Identity, Instant, bool),
    /// A core's report reaches control.
    Reported(Report),
    /// A client comes.
    Arrive,
    /// A client's connect is over; whether it reached the target.
    Connected(u64, bool),
    /// A client leaves while it is being connected for.
    Leave(u64),
    /// A client's connection ends.
    Close(u64),
    /// Something happens to the hosts.
    Fault(Fault),
}

/// A balancer, its targets and their clients.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) setting: Setting,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) rng: fastrand::Rng,
    pub(crate) hosts: Vec<Host>,
    pub(crate) invariants: Invariants,
    roster: Roster,
    latest: Arc<Status>,
    /// The targets that are checked, each with the number of its stay.
    checked: HashMap<Identity, u64>,
    stays: u64,
    due: Option<Instant>,
    cores: Vec<Core>,
    clients: HashMap<u64, Client>,
    arrived: u64,
}

impl World {
    pub(crate) fn new(setting: Setting, seed: u64) -> Self {
        let now = Instant::now();
        let core = |number| Core::new(number, &setting, now, seed ^ (number as u64) << 32);
        let mut hosts: Vec<_> = (1..=setting.hosts).map(|number| Host::new(number, now)).collect();
        if setting.has_bad_thirds {
            hosts.push(Host::new(100, now).with_bad_thirds());
        }
        let mut world = Self {
            setting,
            agenda: Agenda::new(now),
            rng: fastrand::Rng::with_seed(seed),
            hosts,
            invariants: Invariants::default(),
            roster: Roster::new(setting.rules()),
            latest: Arc::default(),
            checked: HashMap::new(),
            stays: 0,
            due: None,
            cores: (0..setting.cores).map(core).collect(),
            clients: HashMap::new(),
            arrived: 0,
        };
        for event in [Event::Discover, Event::Tick, Event::Arrive] {
            world.agenda.after(Duration::ZERO, event);
        }
        if setting.has_faults {
            faults::start(&mut world);
        }
        world
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.agenda.now() + time;
        while self.agenda.now() < end {
            let event = self.agenda.next().expect("something always comes next");
            self.handle(event);
        }
    }

    /// What control has published last.
    pub(crate) fn latest(&self) -> &Status {
        &self.latest
    }

    fn handle(&mut self, event: Event) {
        let now = self.agenda.now();
        match event {
            Event::Discover => self.discover(),
            Event::Check(target, stay) => self.check(target, stay),
            Event::Checked(target, stay, is_good, began) => {
                self.note_checked(&target, stay, is_good, began);
            }
            Event::Tick => {
                self.agenda.after(TICK, Event::Tick);
                self.roster.tick(now);
                self.publish();
                self.invariants.assert_outcome(&self.latest, &self.hosts, &self.setting, now);
                self.invariants.admission.assert_waiting(&self.latest, now);
            }
            Event::Due => {
                self.due = None;
                self.publish();
            }
            Event::PickUp(core) => self.pick_up(core),
            Event::Reported(report) => {
                self.roster.reported(&report, now);
                self.publish();
            }
            Event::Attempted(target, began, is_good) => {
                self.invariants.breakers.attempt_ended(&target, began, is_good, now);
                let result =
                    if is_good { ConnectAttempt::Reached } else { ConnectAttempt::Failed(REFUSED) };
                self.roster.attempted(&target, began, result, now);
                self.publish();
            }
            Event::Arrive => self.arrive(),
            Event::Connected(client, reached) => self.end_connect(client, Some(reached)),
            Event::Leave(client) => self.end_connect(client, None),
            Event::Close(client) => {
                if let Some(client) = self.clients.remove(&client) {
                    client.close();
                }
            }
            Event::Fault(fault) => faults::happen(self, fault),
        }
    }

    fn discover(&mut self) {
        self.agenda.after(DISCOVERY_PERIOD, Event::Discover);
        let listed = self.hosts.iter().filter(|host| host.is_listed).map(Host::target).collect();
        if let Some(targets) = faults::answer(listed, &self.setting, &mut self.rng) {
            self.list(targets);
        }
    }

    fn list(&mut self, targets: Vec<Target>) {
        let now = self.agenda.now();
        let identities: BTreeSet<_> = targets.iter().map(Identity::of).collect();
        self.invariants.listed(&identities, &self.latest, now);
        self.roster.discovered(targets, now);
        self.publish();
    }

    /// An operator wants a target to drain, or not to.
    pub(crate) fn order(&mut self, id: &TargetId, wants_drain: bool) {
        let now = self.agenda.now();
        if wants_drain {
            let is_heeded = self.roster.drain(id, now);
            self.invariants.ordered(id, is_heeded, now);
        } else {
            self.roster.undrain(id);
            self.invariants.ordered(id, false, now);
        }
        self.publish();
    }

    fn check(&mut self, target: Identity, stay: u64) {
        if self.checked.get(&target) != Some(&stay) {
            return;
        }
        let host = self.hosts.iter_mut().find(|host| host.address() == target.address);
        let outcome = host.expect("hosts are never forgotten").check(&mut self.rng);
        let period = CHECK_PERIOD.mul_f64(0.9 + 0.2 * self.rng.f64());
        let next = period.max(outcome.after);
        let now = self.agenda.now();
        let checked = Event::Checked(target.clone(), stay, outcome.is_good, now);
        self.agenda.after(outcome.after, checked);
        self.agenda.after(next, Event::Check(target, stay));
    }

    fn note_checked(&mut self, target: &Identity, stay: u64, is_good: bool, began: Instant) {
        // What was under way when a target left comes too late, and most of it not at all.
        if self.checked.get(target) == Some(&stay) || self.rng.u32(..10) == 0 {
            let result = if is_good { Ok(()) } else { Err("a reason") };
            let entries = &self.latest.targets();
            let entry = entries.iter().find(|entry| Identity::of(entry.target()) == *target);
            // Nobody wants to know of one that has left.
            let is_heard = entry.is_some_and(|entry| entry.checks().is_some());
            if is_good && is_heard && !self.setting.is_checked_apart() {
                self.invariants.breakers.passed(target, began);
            }
            self.roster.checked(target, result, began);
            self.publish();
        }
    }

    fn publish(&mut self) {
        let now = self.agenda.now();
        let before = Arc::clone(&self.latest);
        for target in self.roster.begin_attempts(now) {
            self.attempt(target);
        }
        self.latest = self.roster.status(now);
        if let Some(due) = self.roster.next_due(now)
            && self.due.is_none_or(|noted| due < noted)
        {
            self.due = Some(due);
            self.agenda.at(due, Event::Due);
        }
        if before.generation() == self.latest.generation() {
            return;
        }
        self.invariants.published(&before, &self.latest, &self.hosts, &self.setting, now);
        let is_same = before.snapshot().generation() == self.latest.snapshot().generation();
        let cores = if is_same { 0 } else { self.cores.len() };
        for number in 0..cores {
            if self.cores[number].publish(&self.latest) {
                let delay = self.delay(PICKUP_MAX);
                self.agenda.after(delay, Event::PickUp(number));
            }
        }
        self.check_only_present();
    }

    /// Control tries to connect to an ejected target.
    fn attempt(&mut self, target: Identity) {
        let now = self.agenda.now();
        self.invariants.attempt_begins(&target, &self.setting, now);
        let host = self.hosts.iter().find(|host| host.address() == target.address);
        let outcome = host.expect("hosts are never forgotten").connect(&mut self.rng);
        self.agenda.after(outcome.after, Event::Attempted(target, now, outcome.is_good));
    }

    /// Those that were not checked before are checked at once.
    fn check_only_present(&mut self) {
        let present: BTreeSet<_> = self.roster.to_be_checked().map(Identity::of).collect();
        self.checked.retain(|target, _| present.contains(target));
        for target in present {
            if !self.checked.contains_key(&target) {
                self.stays += 1;
                self.checked.insert(target.clone(), self.stays);
                self.agenda.after(Duration::ZERO, Event::Check(target, self.stays));
            }
        }
    }

    /// As a worker does, the core resets what is to be reset.
    fn pick_up(&mut self, number: usize) {
        let core = &mut self.cores[number];
        core.pick_up();
        if core.has_resets() {
            let is_over = |client: &Client| {
                client.core == number && client.is_connected() && core.resets(client)
            };
            for (_, client) in self.clients.extract_if(|_, client| is_over(client)) {
                client.close();
            }
        }
        for client in self.cores[number].take_waiting() {
            if self.clients.contains_key(&client) {
                self.connect(client);
            }
        }
    }

    /// Usually next to nothing, sometimes as long as it can be.
    fn delay(&mut self, most: Duration) -> Duration {
        let part = self.rng.f64();
        most.mul_f64(part.powi(8))
    }

    fn arrive(&mut self) {
        let gap = exponential(1.0 / self.setting.arrivals_per_s, &mut self.rng);
        self.agenda.after(gap, Event::Arrive);
        self.admit_one();
    }

    /// A client comes now.
    pub(crate) fn admit_one(&mut self) {
        self.arrived += 1;
        self.invariants.tally.connections += 1;
        let keeps_target = self.setting.balance == Balance::Maglev;
        let address = Ipv4Addr::from_bits(self.rng.u32(..100));
        let key = keeps_target.then(|| ClientKey::of(address.into()));
        let client = Client::new(self.rng.usize(..self.cores.len()), key);
        self.clients.insert(self.arrived, client);
        self.connect(self.arrived);
        if self.rng.u32(..1000) < self.setting.impatient {
            let after = self.delay(LEAVING_MAX);
            self.agenda.after(after, Event::Leave(self.arrived));
        }
    }

    fn connect(&mut self, number: u64) {
        let now = self.agenda.now();
        let client = self.clients.get_mut(&number).expect("it waits for its connect");
        let core = &mut self.cores[client.core];
        if core.holds(number) {
            self.invariants.tally.waits += 1;
            return;
        }
        let entry = match core.connect(client, now) {
            Ok(entry) => entry,
            Err(why) => {
                self.invariants.tally.dropped += 1;
                self.invariants.tally.budget_spent += u64::from(why == Dropped::BudgetSpent);
                self.clients.remove(&number);
                return;
            }
        };
        self.invariants.connected(entry, now);
        let host = self.hosts.iter().find(|host| host.address() == entry.target().address);
        let outcome = host.expect("hosts are never forgotten").connect(&mut self.rng);
        self.agenda.after(outcome.after, Event::Connected(number, outcome.is_good));
    }

    /// `reached` is none if the client has left.
    fn end_connect(&mut self, number: u64, reached: Option<bool>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if client.is_connected() {
            return;
        }
        if client.target().is_none() {
            // It has waited for its connect.
            self.clients.remove(&number);
            return;
        }
        let core = &mut self.cores[client.core];
        if let (Some(true), Some(target)) = (reached, client.target()) {
            self.invariants.breakers.reached(&Identity::of(target));
        }
        let report = core.end_connect(client, reached);
        let core_resets = core.resets(client);
        if let Some(report) = report {
            let number = client.core;
            let arrives = self.agenda.now() + self.delay(REPORT_MAX);
            let core = &mut self.cores[number];
            core.reported_at = core.reported_at.max(arrives);
            self.agenda.at(core.reported_at, Event::Reported(report));
        }
        match reached {
            Some(true) if core_resets => {
                if let Some(client) = self.clients.remove(&number) {
                    client.close();
                }
            }
            Some(true) => {
                let mean = self.setting.duration.as_secs_f64();
                let duration = exponential(mean, &mut self.rng);
                self.agenda.after(duration, Event::Close(number));
            }
            Some(false) => {
                self.invariants.tally.retries += 1;
                self.connect(number);
            }
            None => drop(self.clients.remove(&number)),
        }
    }
}

fn exponential(mean_s: f64, rng: &mut fastrand::Rng) -> Duration {
    Duration::from_secs_f64(-(1.0 - rng.f64()).ln() * mean_s)
}
