use super::*;

fn at(ms: u64) -> Instant {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *START.get_or_init(Instant::now) + Duration::from_millis(ms)
}

fn loads(counts: &[u64]) -> Vec<Load> {
    let share = 1.0 / as_f64(counts.len() as u64);
    counts.iter().map(|&connections| Load { share, connections }).collect()
}

fn grant(rebalance: &mut Rebalance, ms: u64, counts: &[u64], unused: u64) -> Vec<u64> {
    rebalance.grant(at(ms), &loads(counts), unused, true, &mut || 0.5)
}

#[test]
fn without_a_rate_or_a_join_nothing_ends() {
    let mut off = Rebalance::new(0);
    off.begin(at(0));
    assert_eq!((off.since(), off.due()), (None, None));
    let mut on = Rebalance::new(10);
    assert_eq!(on.due(), None);
    assert_eq!(grant(&mut on, 5000, &[90, 0], 0), [0, 0]);
}

#[test]
fn the_rate_is_shared_among_those_who_have_too_many() {
    let mut rebalance = Rebalance::new(100);
    rebalance.begin(at(0));
    assert_eq!(grant(&mut rebalance, 100, &[130, 70, 40, 0], 0), [9, 1, 0, 0]);
    // What nobody used is granted again, and no more is saved up than a fifth of a second's worth.
    assert_eq!(grant(&mut rebalance, 150, &[130, 70, 40, 0], 10).iter().sum::<u64>(), 15);
    assert_eq!(grant(&mut rebalance, 9000, &[130, 70, 40, 0], 15).iter().sum::<u64>(), 20);
    // No more than what is too many: 63 connections may stay on each.
    assert_eq!(grant(&mut rebalance, 9200, &[64, 63, 40, 0], 0), [1, 0, 0, 0]);
    assert_eq!(rebalance.since(), Some(at(0)));
    assert_eq!(grant(&mut rebalance, 9300, &[63, 63, 40, 1], 0), [0; 4]);
    assert_eq!(grant(&mut rebalance, 14_100, &[63, 64, 40, 1], 0), [0, 1, 0, 0], "one came back");
    grant(&mut rebalance, 14_200, &[63, 63, 40, 1], 0);
    assert!(rebalance.since().is_some());
    grant(&mut rebalance, 19_100, &[63, 63, 40, 1], 0);
    assert_eq!(rebalance.since(), None, "they are spread");
}

#[test]
fn less_than_one_a_tick_adds_up() {
    let mut rebalance = Rebalance::new(2);
    rebalance.begin(at(0));
    let granted = (1..=40).map(|tick| grant(&mut rebalance, tick * 100, &[90, 0], 0)[0]);
    assert_eq!(granted.sum::<u64>(), 8);
}

#[test]
fn who_grows_has_room_for_no_more_than_its_part() {
    let mut rebalance = Rebalance::new(1000);
    rebalance.begin(at(0));
    let uneven = [Load { share: 0.9, connections: 100 }, Load { share: 0.1, connections: 0 }];
    let granted = rebalance.grant(at(500), &uneven, 0, false, &mut || 0.5);
    assert_eq!(granted, [5, 0]);
    let spread = [Load { share: 0.9, connections: 90 }, Load { share: 0.1, connections: 10 }];
    rebalance.grant(at(600), &spread, 0, false, &mut || 0.5);
    assert!(rebalance.since().is_some(), "its share grows");
}

#[test]
fn a_round_in_which_nothing_can_be_ended_is_over_in_the_end() {
    let mut rebalance = Rebalance::new(10);
    rebalance.begin(at(0));
    let mut unused = 0;
    for ms in (100..=600_000).step_by(100) {
        assert_eq!(rebalance.since(), Some(at(0)), "after {ms} ms");
        unused = grant(&mut rebalance, ms, &[90, 0], unused).iter().sum();
    }
    assert_eq!(rebalance.since(), None);
}

#[test]
fn the_pause_of_fail_open_saves_nothing_up() {
    let mut rebalance = Rebalance::new(100);
    rebalance.begin(at(0));
    rebalance.pause(at(5000), &mut || 0.5);
    assert_eq!(grant(&mut rebalance, 5100, &[90, 0], 0), [10, 0]);
}

#[test]
fn a_round_outlasts_fail_open() {
    let mut rebalance = Rebalance::new(100);
    rebalance.begin(at(0));
    for ms in (100..700_000).step_by(100) {
        rebalance.pause(at(ms), &mut || 0.5);
    }
    assert_eq!(grant(&mut rebalance, 700_000, &[90, 0], 0), [10, 0]);
    assert_eq!(rebalance.since(), Some(at(0)));
}

#[test]
fn clients_that_do_not_come_back_are_no_reason_to_end_more() {
    let mut rebalance = Rebalance::new(1000);
    rebalance.begin(at(0));
    let mut counts = [50, 50, 0];
    for ms in (100..5000).step_by(100) {
        let granted = grant(&mut rebalance, ms, &counts, 0);
        for (count, granted) in counts.iter_mut().zip(granted) {
            *count -= granted;
        }
    }
    assert_eq!(counts, [35, 35, 0]);
}
