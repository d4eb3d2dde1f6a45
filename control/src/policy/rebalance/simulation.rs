//! Connections in virtual time: targets join, old connections are closed and their
//! clients come back, or not. A failure prints its seed.

use std::collections::VecDeque;
use std::sync::Arc;

use exchange::RebalanceClose;

use super::*;
use testkit::seeds::seeds;

const SEEDS: u64 = 200;
const STEP: Duration = Duration::from_millis(10);
const STEPS_MAX: u32 = 360_000;
/// Each connection is looked at once in so many steps.
const PASS: usize = 100;

struct OpenConnection {
    target: usize,
    is_old: bool,
    is_at_rest: bool,
}

/// Clients whose connections ended, and who come back.
struct ReturningClients {
    /// How likely one does.
    chance: f64,
    /// When each does.
    due: VecDeque<Instant>,
}

struct RebalanceWorld {
    rng: fastrand::Rng,
    now: Instant,
    rate: u32,
    targets: Vec<Arc<TargetCounters>>,
    connections: Vec<OpenConnection>,
    rebalance: Rebalance,
    joined_total: u64,
    /// The fewest that a target may have, as of the latest grant.
    least: u64,
    returning: ReturningClients,
    ended: Vec<Instant>,
    /// Those that were told to end and are counted until then.
    closing: Vec<(Instant, usize, RebalanceClose)>,
    /// Turns from rest to work and back, as a probability for a step.
    restlessness: f64,
}

impl RebalanceWorld {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let old = rng.usize(1..=8);
        let count = old + rng.usize(1..=4);
        let targets: Vec<_> = (0..count).map(|_| Arc::new(TargetCounters::new(1))).collect();
        let rate = rng.u32(1..=200);
        let restlessness = [0.0, 0.0, 0.0001, 0.01][rng.usize(..4)];
        let mut world = Self {
            now: Instant::now(),
            rate,
            targets,
            connections: Vec::new(),
            rebalance: Rebalance::new(rate),
            joined_total: 0,
            least: 0,
            returning: ReturningClients {
                chance: [0.0, 0.5, 1.0][rng.usize(..3)],
                due: VecDeque::new(),
            },
            ended: Vec::new(),
            closing: Vec::new(),
            restlessness,
            rng,
        };
        for target in 0..old {
            for _ in 0..world.rng.usize(1..400) {
                let is_at_rest = restlessness == 0.0 || world.rng.bool();
                world.open(OpenConnection { target, is_old: true, is_at_rest });
            }
        }
        world
    }

    fn open(&mut self, connection: OpenConnection) {
        self.targets[connection.target].on(0).active.increment();
        self.connections.push(connection);
    }

    fn counts(&self) -> Vec<u64> {
        self.targets.iter().map(|target| target.active()).collect()
    }

    /// Each target's part of all connections.
    fn share(&self) -> f64 {
        1.0 / as_f64(self.targets.len() as u64)
    }

    /// The most that a target may have in the end.
    fn most(&self) -> u64 {
        let total = self.joined_total.max(self.counts().iter().sum());
        as_u64((as_f64(total) * self.share() * TOLERANCE).ceil())
    }

    fn join(&mut self) {
        self.rebalance.begin(self.now);
        self.joined_total = self.counts().iter().sum();
    }

    fn step(&mut self) {
        self.now += STEP;
        self.close();
        if self.rebalance.due().is_some_and(|due| due <= self.now) {
            self.grant();
        }
        let looked_at = self.connections.len().div_ceil(PASS);
        for _ in 0..looked_at {
            let index = self.rng.usize(..self.connections.len());
            self.look_at(index);
        }
        for connection in &mut self.connections {
            connection.is_at_rest ^= self.rng.f64() < self.restlessness;
        }
        while self.returning.due.front().is_some_and(|at| *at <= self.now) {
            self.returning.due.pop_front();
            self.come_back();
        }
    }

    fn grant(&mut self) {
        let unused = self.targets.iter().map(|target| target.rebalance_budget().take_back()).sum();
        let share = self.share();
        let loads: Vec<_> = self.targets.iter().map(|it| Load::of(it, share)).collect();
        let rng = &mut self.rng;
        let grants = self.rebalance.grant(self.now, &loads, unused, true, &mut || rng.f64());
        for (target, grant) in self.targets.iter().zip(grants) {
            target.rebalance_budget().grant(grant);
        }
        let total = self.counts().iter().sum::<u64>().max(self.joined_total);
        self.least = total.div_ceil(self.targets.len() as u64);
    }

    fn look_at(&mut self, index: usize) {
        let OpenConnection { target, is_old, is_at_rest } = self.connections[index];
        if !is_old || !is_at_rest {
            return;
        }
        if let Some(close) = RebalanceClose::take(&self.targets[target]) {
            let takes = Duration::from_millis(self.rng.u64(..300));
            self.closing.push((self.now + takes, target, close));
            self.connections.swap_remove(index);
            self.ended.push(self.now);
            let count = Load::of(&self.targets[target], 0.0).connections;
            assert!(count >= self.least, "{count} are left, {} would be even", self.least);
            if self.rng.f64() < self.returning.chance {
                self.returning.due.push_back(self.now + Duration::from_millis(500));
            }
        }
    }

    fn close(&mut self) {
        let (now, targets) = (self.now, &self.targets);
        self.closing.retain(|(due, target, _)| {
            if *due <= now {
                targets[*target].on(0).active.decrement();
            }
            *due > now
        });
    }

    /// As the cores choose by default: the less loaded of two.
    fn come_back(&mut self) {
        let counts = self.counts();
        let one = self.rng.usize(..counts.len());
        let other = (one + self.rng.usize(1..counts.len())) % counts.len();
        let target = if counts[other] < counts[one] { other } else { one };
        let is_at_rest = self.restlessness == 0.0;
        self.open(OpenConnection { target, is_old: false, is_at_rest });
    }

    fn assert_pace(&self) {
        let burst = f64::from(self.rate) * BURST_S + 1.0;
        for (first, start) in self.ended.iter().enumerate() {
            let end = *start + Duration::from_secs(1);
            let count = self.ended[first..].partition_point(|at| *at <= end) as u64;
            let most = f64::from(self.rate) * 1.01 + burst;
            assert!(as_f64(count) <= most, "{count} in a second at {}/s", self.rate);
        }
    }
}

fn run(seed: u64) {
    let mut world = RebalanceWorld::new(seed);
    for _ in 0..100 {
        world.step();
    }
    assert!(world.ended.is_empty(), "nobody has joined");
    world.join();
    let (began, most) = (world.now, world.most());
    let excess: u64 = world.counts().iter().map(|count| count.saturating_sub(most)).sum();
    let mut steps = 0;
    while world.rebalance.since().is_some() {
        world.step();
        steps += 1;
        assert!(steps < STEPS_MAX, "goes on for ever: {:?}", world.counts());
    }
    world.assert_pace();
    let ended = world.ended.len() as u64;
    while !world.closing.is_empty() {
        world.step();
    }
    let (counts, most) = (world.counts(), world.most());
    let has_old = |target| world.connections.iter().any(|it| it.is_old && it.target == target);
    let are_spread =
        counts.iter().enumerate().all(|(target, count)| *count <= most || !has_old(target));
    assert!(are_spread, "{counts:?} are not spread, {most} may be");
    // Nobody who comes back, nothing more to end; else those who come back to where they were.
    let rounding = world.targets.len() as u64;
    let enough = if world.returning.chance == 0.0 { excess + rounding } else { excess * 3 + 20 };
    assert!(ended >= excess.min(1) && ended <= enough, "{ended} ended, {excess} were too many");
    // The last few are a matter of chance: who comes back last, and where.
    let nearly_all = world.ended.get(world.ended.len() * 9 / 10);
    if let (Some(end), true) = (nearly_all, world.restlessness == 0.0) {
        let took = end.duration_since(began).as_secs_f64();
        let expected = as_f64(ended) / f64::from(world.rate);
        assert!(took <= expected * 1.4 + 5.0, "took {took} s instead of {expected} s");
    }
    for _ in 0..1000 {
        world.step();
    }
    assert_eq!(world.ended.len() as u64, ended, "it is over");
}

#[test]
fn connections_are_spread_at_the_rate_and_no_target_falls_below_the_mean() {
    for seed in 0..seeds(SEEDS) {
        let result = std::panic::catch_unwind(|| run(seed));
        assert!(result.is_ok(), "failed with seed {seed}");
    }
}
