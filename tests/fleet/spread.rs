//! How evenly connections are spread while nothing goes wrong.

use std::time::Duration;

use control::breaker;
use dataplane::Balance;

use crate::rules::Setting;
use crate::world::World;

#[test]
fn p2c_keeps_the_busiest_of_ten_targets_within_a_quarter_of_the_mean() {
    for seed in 0..10 {
        let setting = Setting {
            balance: Balance::P2c,
            cores: 1 + usize::try_from(seed).unwrap() % 4,
            hosts: 10,
            connect_attempts: 3,
            breaker: breaker::Settings { threshold: 5, timeout: Duration::from_secs(300) },
            fail_open_threshold: 0,
            arrivals_per_s: 100.0,
            duration: Duration::from_secs(5),
            impatient: 0,
            has_faults: false,
        };
        let mut world = World::new(setting, seed);
        // Twelve times as long as a connection lasts.
        world.run(Duration::from_secs(60));
        let mut largest: f64 = 0.0;
        for _ in 0..60 {
            world.run(Duration::from_secs(1));
            let counts = world.latest().entries.iter().map(|entry| entry.counters.active());
            let mean = counts.clone().sum::<u64>() as f64 / 10.0;
            largest = largest.max(counts.max().unwrap() as f64 / mean);
        }
        assert!(largest <= 1.25, "seed {seed}: {largest}");
    }
}
