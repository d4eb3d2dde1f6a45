//! A pool and a target that ends idle connections, through minutes of seeded virtual time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Pool;
use crate::flow::Key;
use testkit::seeds::seeds;

const STEP: Duration = Duration::from_millis(1);
const WALK_STEPS: u128 = 10;

/// A target: its connects take `connect`, it ends what is idle for `allowed`.
struct World {
    rng: fastrand::Rng,
    start: Instant,
    now: Instant,
    pool: Pool,
    clients_per_second: f64,
    connect: Duration,
    allowed: Duration,
    connecting: Vec<(Key, Instant)>,
    open: HashMap<u32, Instant>,
    last_key: u32,
    sums: Sums,
}

#[derive(Debug, Default)]
struct Sums {
    clients: u32,
    hits: u32,
    /// Given to a client although the target had ended them, or would have within a moment.
    late: u32,
    connected: u32,
    expired: u32,
    broken: u32,
    longest: usize,
}

impl World {
    fn new(
        seed: u64,
        most: usize,
        clients_per_second: f64,
        connect_ms: u64,
        allowed_ms: u64,
    ) -> Self {
        let start = Instant::now();
        let mut world = Self {
            rng: fastrand::Rng::with_seed(seed),
            start,
            now: start,
            pool: Pool::new(most),
            clients_per_second,
            connect: Duration::from_millis(connect_ms),
            allowed: Duration::from_millis(allowed_ms),
            connecting: Vec::new(),
            open: HashMap::new(),
            last_key: 0,
            sums: Sums::default(),
        };
        world.pool.note_connect(world.connect);
        world
    }

    /// Lets time pass and starts to count anew.
    fn run(&mut self, duration: Duration) -> Sums {
        self.sums = Sums::default();
        let end = self.now + duration;
        while self.now < end {
            self.now += STEP;
            self.step();
            assert!(self.pool.len() <= self.pool.most);
            assert_eq!(self.pool.len(), self.open.len() + self.connecting.len(), "one is lost");
            self.sums.longest = self.sums.longest.max(self.pool.len());
        }
        std::mem::take(&mut self.sums)
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(&(key, due)) = self.connecting.first()
            && due <= now
        {
            self.connecting.remove(0);
            self.open.insert(key.slot, now);
            self.pool.note_connect(self.connect);
            self.pool.note_ready(key, now);
        }
        let ended: Vec<u32> =
            self.open.iter().filter(|it| now - *it.1 >= self.allowed).map(|it| *it.0).collect();
        for slot in ended {
            self.open.remove(&slot);
            self.pool.note_gone(Key { slot, generation: 0 }, now, true);
            self.sums.broken += 1;
        }
        let mut expected = self.clients_per_second * STEP.as_secs_f64();
        while self.rng.f64() < expected {
            expected -= 1.0;
            self.client();
        }
        if (now - self.start).as_millis().is_multiple_of(WALK_STEPS) {
            while let Some(key) = self.pool.take_expired(now) {
                self.open.remove(&key.slot);
                self.sums.expired += 1;
            }
            self.fill_up();
        }
    }

    fn client(&mut self) {
        self.sums.clients += 1;
        if let Some(key) = self.pool.claim(self.now, |_| true) {
            let since = self.open.remove(&key.slot).expect("claimed once");
            self.sums.hits += 1;
            self.sums.late += u32::from((self.now - since) * 10 > self.allowed * 9);
        }
        self.fill_up();
    }

    fn fill_up(&mut self) {
        for _ in 0..self.pool.lacking(self.now) {
            self.last_key += 1;
            let key = Key { slot: self.last_key, generation: 0 };
            self.pool.note_connecting(key);
            self.connecting.push((key, self.now + self.connect));
            self.sums.connected += 1;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn where_clients_come_often_most_find_a_connection() {
    for seed in 0..seeds(10) {
        for (rate, connect) in [(20.0, 1), (200.0, 2), (900.0, 1), (500.0, 20)] {
            let mut world = World::new(seed, 100, rate, connect, 60_000);
            world.run(5 * SECOND);
            let sums = world.run(20 * SECOND);
            let hits = f64::from(sums.hits) / f64::from(sums.clients);
            assert!(hits > 0.93, "seed {seed}, {rate}/s, {connect} ms: {hits} of {sums:?}");
            let unused = f64::from(sums.expired) / f64::from(sums.connected);
            assert!(unused < 0.05, "seed {seed}, {rate}/s, {connect} ms: {unused} of {sums:?}");
            assert_eq!(sums.broken, 0);
        }
    }
}

#[test]
fn where_clients_are_rare_nothing_is_connected() {
    for seed in 0..seeds(10) {
        let mut world = World::new(seed, 100, 0.2, 1, 60_000);
        let sums = world.run(200 * SECOND);
        assert!(sums.connected <= sums.clients / 4, "seed {seed}: {sums:?}");
    }
}

#[test]
fn once_it_is_known_what_a_target_allows_no_client_gets_a_connection_that_is_about_to_end() {
    for seed in 0..seeds(40) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (rate, allowed) = (rng.f64() * 60.0 + 3.0, rng.u64(20..1500));
        let mut world = World::new(seed, 100, rate, rng.u64(1..10), allowed);
        world.run(20 * SECOND);
        let sums = world.run(200 * SECOND);
        assert_eq!(sums.late, 0, "seed {seed}: {allowed} ms, {sums:?}");
        world.allowed = 60 * SECOND;
        world.run(60 * SECOND);
        let sums = world.run(60 * SECOND);
        let hits = f64::from(sums.hits) / f64::from(sums.clients);
        assert!(rate < 6.0 || hits > 0.8, "seed {seed}: no way back, {hits} of {sums:?}");
    }
}

#[test]
fn a_target_that_ends_connections_at_once_costs_few_connects() {
    for seed in 0..seeds(10) {
        let mut world = World::new(seed, 100, 100.0, 1, 0);
        world.run(10 * SECOND);
        let sums = world.run(60 * SECOND);
        assert!(sums.connected <= 61, "seed {seed}: {sums:?}");
    }
}

#[test]
fn the_bound_is_kept() {
    let mut world = World::new(1, 7, 900.0, 100, 60_000);
    let sums = world.run(10 * SECOND);
    assert_eq!(sums.longest, 7, "{sums:?}");
}
