//! How evenly connections are spread while nothing goes wrong.

use std::time::Duration;

use control::status::TargetStatus;
use dataplane::Balance;

use crate::rules::Setting;
use crate::world::World;

#[test]
fn p2c_keeps_the_busiest_of_ten_targets_within_a_quarter_of_the_mean() {
    for seed in 0..10 {
        let cores = 1 + usize::try_from(seed).unwrap() % 4;
        let setting = Setting { balance: Balance::P2c, cores, ..Setting::calm() };
        let mut world = World::new(setting, seed);
        // Twelve times as long as a connection lasts.
        world.run(Duration::from_mins(1));
        let mut largest: f64 = 0.0;
        for _ in 0..60 {
            world.run(Duration::from_secs(1));
            let count = |entry: &TargetStatus| u32::try_from(entry.counters().active()).unwrap();
            let counts = world.latest().targets().iter().map(count);
            let mean = f64::from(counts.clone().sum::<u32>()) / 10.0;
            largest = largest.max(f64::from(counts.max().unwrap()) / mean);
        }
        println!("{cores} cores: {largest:.2} of the mean");
        assert!(largest <= 1.25, "seed {seed}: {largest}");
    }
}

/// The largest share of the first clients that a target gets, in means; they have come before any
/// target was known.
fn largest_first_share(balance: Balance, cores: usize, seed: u64) -> f64 {
    let setting = Setting {
        balance,
        cores,
        hosts: 4,
        // They stay, and nobody comes later.
        arrivals_per_s: 0.001,
        duration: Duration::from_hours(10),
        ..Setting::calm()
    };
    let mut world = World::new(setting, seed);
    (0..400).for_each(|_| world.admit_one());
    world.run(Duration::from_secs(5));
    let counts = world.latest().targets().iter().map(|entry| entry.counters().active());
    let largest = u32::try_from(counts.max().unwrap()).unwrap();
    f64::from(largest) / 100.0
}

#[test]
fn the_first_clients_are_spread_over_all_targets() {
    for (balance, most) in [
        (Balance::P2c, 1.05),
        (Balance::RoundRobin, 1.05),
        (Balance::LeastConnections, 1.05),
        (Balance::Random, 1.35),
    ] {
        let mut largest: f64 = 0.0;
        for seed in 0..40 {
            let cores = 1 + usize::try_from(seed).unwrap() % 4;
            largest = largest.max(largest_first_share(balance, cores, seed));
        }
        println!("{balance:?}: {largest:.2} of the mean");
        assert!(largest <= most, "{balance:?}: {largest}");
    }
}
