//! A fleet in virtual time: the policy of the control plane and of several cores, targets that die,
//! hang, flap, recover and are replaced, discovery that fails and lies, and clients.
//!
//! `FLEET_SEEDS=2000` runs so many hours; `FLEET_SEED=7` runs that one again.
#![allow(clippy::unwrap_used, reason = "this is test code, outside a test function too")]

mod agenda;
mod core;
mod faults;
mod flapping;
mod host;
mod invariants;
mod rules;
mod spread;
mod world;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use invariants::Tally;
use rules::Setting;
use testkit::seeds::seeds;
use world::World;

const HOUR: Duration = Duration::from_hours(1);
const SEEDS: u64 = 200;

#[test]
fn whatever_happens_to_a_fleet_its_clients_are_served_as_well_as_they_can_be() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds = match number("FLEET_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FLEET_SEEDS").unwrap_or(seeds(SEEDS)),
    };
    let mut all = Tally::default();
    for seed in seeds.clone() {
        all.add(simulate(seed));
    }
    println!("{} hours: {all:?}", seeds.end - seeds.start);
    if seeds.end - seeds.start >= SEEDS {
        all.assert_that_everything_happened();
    }
}

fn simulate(seed: u64) -> Tally {
    let mut rng = fastrand::Rng::with_seed(seed);
    let setting = Setting::random(&mut rng);
    let hour = AssertUnwindSafe(|| {
        let mut world = World::new(setting, seed);
        world.run(HOUR);
        world.invariants.tally()
    });
    catch_unwind(hour).unwrap_or_else(|panic| {
        // Not by `eprintln!`, which is shown only after the test.
        let _ = writeln!(std::io::stderr(), "FLEET_SEED={seed} fails with {setting:?}");
        resume_unwind(panic)
    })
}
