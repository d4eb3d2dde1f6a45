//! How evenly connections are spread while nothing goes wrong.

use std::time::Duration;

use dataplane::Balance;
use exchange::Entry;

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
            let count = |entry: &Entry| u32::try_from(entry.counters.active()).unwrap();
            let counts = world.latest().entries.iter().map(count);
            let mean = f64::from(counts.clone().sum::<u32>()) / 10.0;
            largest = largest.max(f64::from(counts.max().unwrap()) / mean);
        }
        println!("{cores} cores: {largest:.2} of the mean");
        assert!(largest <= 1.25, "seed {seed}: {largest}");
    }
}
