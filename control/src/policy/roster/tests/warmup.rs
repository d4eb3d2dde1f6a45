use super::*;

/// Every so many milliseconds after the beginning.
fn ms(milliseconds: u64) -> Instant {
    at(0) + Duration::from_millis(milliseconds)
}

/// The numbers of the targets that get clients; none where clients wait.
fn used(roster: &mut Roster, milliseconds: u64) -> Option<Vec<u8>> {
    let snapshot = roster.status(ms(milliseconds));
    let is_used =
        |n: &u8| snapshot.eligible().any(|entry| Identity::of(entry.target()) == identity(*n));
    let used: Vec<_> = (1..=9).filter(is_used).collect();
    assert!(snapshot.admits() || used.is_empty(), "they would get clients that do not wait");
    snapshot.admits().then_some(used)
}

fn passes(roster: &mut Roster, n: u8, milliseconds: u64) {
    roster.checked(&identity(n), Ok(()), ms(milliseconds));
}

fn discovers(roster: &mut Roster, targets: impl IntoIterator<Item = u8>, milliseconds: u64) {
    roster.discovered(targets.into_iter().map(target).collect(), ms(milliseconds));
    // Nobody is checked before this.
    roster.status(ms(milliseconds));
}

#[test]
fn clients_wait_for_discovery_and_are_turned_away_when_it_finds_nobody() {
    let mut roster = roster(0);
    assert_eq!(used(&mut roster, 0), None);
    roster.located("a".into());
    assert_eq!(used(&mut roster, 3_600_000), None, "however long it takes");
    discovers(&mut roster, [], 3_600_000);
    assert_eq!(used(&mut roster, 3_600_000), Some(vec![]));
}

#[test]
fn all_that_passed_are_used_at_once_when_all_were_checked() {
    let mut roster = roster(0);
    discovers(&mut roster, 1..=4, 0);
    passes(&mut roster, 1, 500);
    assert_eq!(used(&mut roster, 500), None);
    roster.checked(&identity(3), BAD, ms(510));
    passes(&mut roster, 2, 530);
    assert_eq!(used(&mut roster, 530), None);
    passes(&mut roster, 4, 531);
    assert_eq!(used(&mut roster, 531), Some(vec![1, 2, 4]));
}

#[test]
fn what_hangs_is_waited_for_no_longer_than_two_seconds_after_the_first_pass() {
    let mut roster = roster(0);
    discovers(&mut roster, 1..=3, 0);
    assert_eq!((used(&mut roster, 9000), roster.next_due(ms(9000))), (None, None), "nobody passed");
    passes(&mut roster, 2, 9000);
    assert_eq!(used(&mut roster, 9000), None);
    assert_eq!(roster.next_due(ms(9000)), Some(ms(11_000)));
    passes(&mut roster, 1, 9999);
    assert_eq!(used(&mut roster, 10_999), None);
    assert_eq!(used(&mut roster, 11_000), Some(vec![1, 2]));
    assert_eq!(roster.next_due(ms(11_000)), None);
}

#[test]
fn where_none_passes_all_are_used_once_all_are_known() {
    let mut roster = roster(0);
    discovers(&mut roster, 1..=2, 0);
    roster.checked(&identity(1), BAD, ms(0));
    assert_eq!(used(&mut roster, 100), None);
    roster.not_checked(&identity(2));
    assert_eq!(used(&mut roster, 2000), Some(vec![1, 2]));
    assert!(roster.status(ms(2000)).fail_open());
}

#[test]
fn when_all_are_replaced_clients_wait_for_the_new_ones() {
    let mut roster = roster(0);
    discovers(&mut roster, 1..=2, 0);
    passes(&mut roster, 1, 0);
    passes(&mut roster, 2, 0);
    assert_eq!(used(&mut roster, 0), Some(vec![1, 2]));
    discovers(&mut roster, 3..=5, 1000);
    assert_eq!(used(&mut roster, 1000), None);
    passes(&mut roster, 3, 1010);
    passes(&mut roster, 4, 1020);
    assert_eq!(used(&mut roster, 1020), None);
    passes(&mut roster, 5, 1030);
    assert_eq!(used(&mut roster, 1030), Some(vec![3, 4, 5]));
    // One of before stays: who comes joins it.
    discovers(&mut roster, 5..=7, 2000);
    assert_eq!(used(&mut roster, 2000), Some(vec![5]));
    passes(&mut roster, 6, 2010);
    assert_eq!(used(&mut roster, 2010), Some(vec![5, 6]));
    discovers(&mut roster, 8..=9, 3000);
    passes(&mut roster, 8, 3010);
    assert_eq!(used(&mut roster, 3010), None);
    assert_eq!(used(&mut roster, 5010), Some(vec![8]), "the other one hangs");
}

#[test]
fn while_they_wait_the_targets_may_be_replaced_or_vanish() {
    let mut roster = roster(0);
    discovers(&mut roster, 1..=2, 0);
    passes(&mut roster, 1, 0);
    assert_eq!(used(&mut roster, 1000), None);
    discovers(&mut roster, 3..=4, 1500);
    assert_eq!(used(&mut roster, 2000), None, "the first pass was that of one that is gone");
    passes(&mut roster, 3, 2500);
    assert_eq!(used(&mut roster, 2500), None);
    discovers(&mut roster, [], 3000);
    assert_eq!(used(&mut roster, 3000), Some(vec![]));
    discovers(&mut roster, 5..=6, 4000);
    assert_eq!(used(&mut roster, 4000), None, "better than to be turned away");
    roster.drain(&target(5).id, ms(4000));
    passes(&mut roster, 6, 4000);
    assert_eq!(used(&mut roster, 4000), Some(vec![6]), "one that drains is not waited for");
    roster.drain(&target(6).id, ms(5000));
    roster.undrain(&target(5).id);
    assert_eq!(used(&mut roster, 5000), None, "the only one left is not checked yet");
    passes(&mut roster, 5, 5000);
    assert_eq!(used(&mut roster, 5000), Some(vec![5]));
}

#[test]
fn who_can_be_used_only_after_clients_were_let_in_has_joined() {
    let mut roster = roster(0);
    roster.rules.policy.slow_start = Duration::from_secs(10);
    roster.rebalance = Rebalance::new(100);
    discovers(&mut roster, 1..=4, 0);
    passes(&mut roster, 1, 500);
    roster.status(ms(500));
    passes(&mut roster, 2, 2490);
    let first = roster.status(ms(2500));
    assert!(
        first.snapshot().rebalanced_since().is_none()
            && first.targets().iter().all(|it| it.entry().ramp().is_none())
    );
    for n in 3..=4 {
        passes(&mut roster, n, 2600);
    }
    let later = roster.status(ms(2600));
    assert_eq!(later.snapshot().rebalanced_since(), Some(ms(2600)));
    let ramps: Vec<_> =
        later.targets().iter().map(|it| it.entry().ramp().map(|ramp| ramp.since())).collect();
    assert_eq!(ramps, [None, None, Some(ms(2600)), Some(ms(2600))]);
}

/// The numbers of the targets that a table is wanted of.
fn wanted(roster: &Roster) -> Vec<Arc<Target>> {
    roster.to_be_mapped().cloned().collect()
}

fn map(roster: &mut Roster) {
    roster.mapped(Arc::new(Affinity::of(wanted(roster))));
}

fn targets(numbers: impl IntoIterator<Item = u8>) -> Vec<Arc<Target>> {
    numbers.into_iter().map(|n| Arc::new(target(n))).collect()
}

#[test]
fn clients_that_keep_their_targets_wait_for_the_table() {
    let mut roster = roster(0);
    let mut rules = roster.rules;
    rules.affinity = true;
    roster = Roster::new(rules);
    discovers(&mut roster, 1..=3, 0);
    passes(&mut roster, 1, 0);
    passes(&mut roster, 2, 0);
    assert_eq!((used(&mut roster, 0), wanted(&roster)), (None, vec![]), "none twice over");
    assert_eq!((used(&mut roster, 2000), wanted(&roster)), (None, targets(1..=2)));
    assert_eq!(roster.next_due(ms(2000)), None, "whoever builds it says when it is there");
    // Others may come and go in the meantime: that is not waited for.
    passes(&mut roster, 3, 2010);
    assert_eq!((used(&mut roster, 2010), wanted(&roster)), (None, targets(1..=2)));
    map(&mut roster);
    assert_eq!(used(&mut roster, 2050), Some(vec![1, 2, 3]));
    assert_eq!(wanted(&roster), targets(1..=3));

    discovers(&mut roster, 4..=5, 3000);
    // The table that was wanted before comes late.
    roster.mapped(Arc::new(Affinity::of(targets(1..=3))));
    passes(&mut roster, 4, 3010);
    passes(&mut roster, 5, 3010);
    assert_eq!((used(&mut roster, 3010), wanted(&roster)), (None, targets(4..=5)));
    map(&mut roster);
    assert_eq!(used(&mut roster, 3050), Some(vec![4, 5]));
    // They are away for a moment, and the table is still good.
    discovers(&mut roster, [], 4000);
    assert_eq!(used(&mut roster, 4000), Some(vec![]));
    discovers(&mut roster, [6], 4010);
    assert_eq!(used(&mut roster, 4010), None);
    discovers(&mut roster, 4..=5, 4020);
    assert_eq!(used(&mut roster, 4020), Some(vec![4, 5]));
}
