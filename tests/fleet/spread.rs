//! How evenly connections are spread while nothing goes wrong.

use std::time::Duration;

use control::breaker;
use dataplane::Balance;
use exchange::Entry;

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
            breaker: breaker::Settings { threshold: 5, timeout: Duration::from_mins(5) },
            fail_open_threshold: 0,
            arrivals_per_s: 100.0,
            duration: Duration::from_secs(5),
            impatient: 0,
            has_faults: false,
            has_bad_thirds: false,
        };
        let mut world = World::new(setting, seed);
        // Twelve times as long as a connection lasts.
        world.run(Duration::from_mins(1));
        let mut largest: f64 = 0.0;
        for _ in 0..60 {
            world.run(Duration::from_secs(1));
            let count = |entry: &Entry| u32::try_from(entry.counters.active()).unwrap();
            let counts = world.latest().entries.iter().map(count);
            let mean = f64::from(counts.clone().sum::<u32>()) / 10.0;
            largest = largest.max(f64::from(counts.max().unwrap()) / mean);
        }
        assert!(largest <= 1.25, "seed {seed}: {largest}");
    }
}
