use exchange::TargetId;

use super::*;

/// `"1 2"`: instances i-1 and i-2 at addresses 1 and 2; `"3@1"`: instance i-3 at address 1.
fn targets(list: &str) -> Vec<Target> {
    let target = |word: &str| {
        let (id, address) = word.split_once('@').unwrap_or((word, word));
        let address = format!("10.0.0.{address}:80").parse().unwrap();
        Target { id: TargetId::new(&format!("i-{id}")), ..Target::at(address) }
    };
    list.split_whitespace().map(target).collect()
}

fn ids(list: &str) -> HashSet<TargetId> {
    list.split_whitespace().map(|word| TargetId::new(&format!("i-{word}"))).collect()
}

/// An answer that has these and does not mention others.
fn whole(known: &mut ConfirmedTargets, list: &str) -> Verdict {
    known.observe(Answer { targets: targets(list), ..Answer::default() })
}

/// An answer that says of some that they are gone.
fn stating(known: &mut ConfirmedTargets, list: &str, gone: &str) -> Verdict {
    known.observe(Answer { targets: targets(list), gone: ids(gone), ..Answer::default() })
}

/// An answer that is uncertain about some.
fn partial(known: &mut ConfirmedTargets, list: &str, uncertain: &str) -> Verdict {
    let uncertain = ids(uncertain);
    known.observe(Answer { targets: targets(list), uncertain, ..Answer::default() })
}

#[track_caller]
fn assert_targets(known: &ConfirmedTargets, list: &str) {
    let mut expected = targets(list);
    expected.sort_by_key(Identity::of);
    assert_eq!(known.targets(), expected);
    assert_eq!(known.len(), expected.len());
}

fn confirmed(shrink_limit: u8, list: &str) -> ConfirmedTargets {
    let mut known = ConfirmedTargets::new(shrink_limit);
    assert_eq!(whole(&mut known, list), Verdict::Accepted);
    assert_targets(&known, list);
    known
}

#[test]
fn the_first_answer_is_accepted_whatever_it_says() {
    confirmed(50, "");
    confirmed(50, "1 2");
}

#[test]
fn growth_and_a_shrinking_within_the_limit_are_accepted_at_once() {
    let mut known = confirmed(50, "1 2 3 4");
    for list in ["1 2 3 4 5 6", "1 2 3", "1 2 9", "2 9"] {
        assert_eq!(whole(&mut known, list), Verdict::Accepted, "{list}");
        assert_targets(&known, list);
    }
}

#[test]
fn an_empty_answer_is_accepted_the_third_time() {
    let mut known = confirmed(100, "1 2");
    for _ in 1..CONFIRMATIONS {
        assert_eq!(whole(&mut known, ""), Verdict::EmptyDoubted);
        assert_targets(&known, "1 2");
    }
    assert_eq!(whole(&mut known, ""), Verdict::Accepted);
    assert_targets(&known, "");
    assert_eq!(whole(&mut known, ""), Verdict::Accepted);
}

#[test]
fn a_shrunken_answer_is_accepted_the_third_time() {
    let mut known = confirmed(50, "1 2 3 4");
    for _ in 1..CONFIRMATIONS {
        assert_eq!(whole(&mut known, "1"), Verdict::ShrunkDoubted);
        assert_targets(&known, "1 2 3 4");
    }
    assert_eq!(whole(&mut known, "1"), Verdict::Accepted);
    assert_targets(&known, "1");
}

#[test]
fn a_whole_answer_in_between_starts_the_count_anew() {
    let mut known = confirmed(50, "1 2 3 4");
    for list in ["1", "", "1 2 3 4", "", "1"] {
        whole(&mut known, list);
        assert_targets(&known, "1 2 3 4");
    }
}

#[test]
fn only_what_every_one_of_three_lacks_leaves() {
    let mut known = confirmed(50, "1 2 3 4 5 6");
    for list in ["1 2", "1 3"] {
        assert_eq!(whole(&mut known, list), Verdict::ShrunkDoubted);
    }
    assert_eq!(whole(&mut known, "1"), Verdict::ShrunkDoubted);
    assert_targets(&known, "1 2 3");
}

#[test]
fn what_an_answer_states_holds_at_once() {
    let mut known = confirmed(50, "1 2 3 4 5");
    assert_eq!(stating(&mut known, "5", "1 2 3 4"), Verdict::Accepted);
    assert_targets(&known, "5");
    // A group of one whose instance is replaced.
    assert_eq!(stating(&mut known, "6", "5"), Verdict::Accepted);
    assert_targets(&known, "6");
    assert_eq!(stating(&mut known, "", "6 7 8"), Verdict::Accepted);
    assert_targets(&known, "");
}

#[test]
fn only_what_is_not_mentioned_is_doubted() {
    let mut known = confirmed(50, "1 2 3 4 5 6");
    for _ in 1..CONFIRMATIONS {
        assert_eq!(stating(&mut known, "1", "2"), Verdict::ShrunkDoubted);
        assert_targets(&known, "1 3 4 5 6");
    }
    assert_eq!(stating(&mut known, "1", "2"), Verdict::Accepted);
    assert_targets(&known, "1");
    // Of one that is gone and one that is not mentioned, nothing vouches for the latter.
    let mut known = confirmed(50, "1 2");
    assert_eq!(stating(&mut known, "", "1"), Verdict::EmptyDoubted);
    assert_targets(&known, "2");
    assert_eq!(stating(&mut known, "3", "1"), Verdict::ShrunkDoubted);
    assert_targets(&known, "2 3");
}

#[test]
fn one_that_is_said_to_be_elsewhere_is_not_where_it_was() {
    let mut known = confirmed(0, "1 2");
    assert_eq!(whole(&mut known, "1@7 2"), Verdict::Accepted);
    assert_targets(&known, "1@7 2");
}

#[test]
fn what_an_answer_is_uncertain_about_stays_and_stops_nothing_else() {
    let mut known = confirmed(50, "1 2 3 4");
    for _ in 0..9 {
        assert_eq!(partial(&mut known, "1", "2 3 4 9"), Verdict::Partial);
        assert_targets(&known, "1 2 3 4");
    }
    assert_eq!(partial(&mut known, "1 3 5", "4 9"), Verdict::Partial);
    assert_targets(&known, "1 3 4 5");
    // Newcomers of such an answer count like all others.
    assert_eq!(partial(&mut known, "5", "4"), Verdict::Partial);
    assert_targets(&known, "4 5");
}

#[test]
fn uncertainty_neither_counts_nor_starts_the_count_anew() {
    let mut known = confirmed(50, "1 2 3 4");
    whole(&mut known, "1");
    partial(&mut known, "1", "2 3 4");
    whole(&mut known, "1");
    partial(&mut known, "", "1 2 3 4");
    assert_targets(&known, "1 2 3 4");
    assert_eq!(partial(&mut known, "1", "2"), Verdict::Partial);
    assert_targets(&known, "1 2");
    assert_eq!(whole(&mut known, "1"), Verdict::Accepted);
    assert_targets(&known, "1");
}

#[test]
fn newcomers_need_no_confirmation() {
    let mut known = confirmed(50, "1 2 3 4");
    assert_eq!(whole(&mut known, "5"), Verdict::ShrunkDoubted);
    assert_targets(&known, "1 2 3 4 5");
    partial(&mut known, "6", "1 2 3 4 5");
    assert_targets(&known, "1 2 3 4 5 6");
    let mut cold = ConfirmedTargets::new(50);
    partial(&mut cold, "1", "2");
    assert_targets(&cold, "1");
}

#[test]
fn newcomers_do_not_dilute_what_is_lacking() {
    // Six of ten would be gone, but the four have left in the same breath.
    let mut known = confirmed(50, "1 2 3 4");
    for _ in 1..CONFIRMATIONS {
        assert_eq!(whole(&mut known, "5 6 7 8 9 10"), Verdict::ShrunkDoubted);
    }
    assert_eq!(whole(&mut known, "5 6 7 8 9 10"), Verdict::Accepted);
    assert_targets(&known, "5 6 7 8 9 10");
}

#[test]
fn newcomers_are_protected_too() {
    let mut known = confirmed(50, "1 2 3");
    whole(&mut known, "3 4 5 6 7 8 9");
    // All that were confirmed are back; six that were not are lacking.
    assert_eq!(whole(&mut known, "1 2 3"), Verdict::ShrunkDoubted);
    assert_targets(&known, "1 2 3 4 5 6 7 8 9");
}

#[test]
fn an_address_in_use_is_not_given_away_in_doubt() {
    let mut known = confirmed(50, "1 2 3");
    for _ in 1..CONFIRMATIONS {
        assert_eq!(whole(&mut known, "9@1"), Verdict::ShrunkDoubted);
        assert_targets(&known, "1 2 3");
    }
    assert_eq!(whole(&mut known, "9@1"), Verdict::Accepted);
    assert_targets(&known, "9@1");
    // Within the limit it changes hands at once.
    let mut known = confirmed(50, "1 2 3");
    assert_eq!(whole(&mut known, "9@1 2 3"), Verdict::Accepted);
    assert_targets(&known, "9@1 2 3");
}

#[test]
fn the_limit_can_be_none_or_all() {
    let mut strict = confirmed(0, "1 2 3");
    assert_eq!(whole(&mut strict, "1 2"), Verdict::ShrunkDoubted);
    assert_targets(&strict, "1 2 3");
    let mut lenient = confirmed(100, "1 2 3");
    assert_eq!(whole(&mut lenient, "9"), Verdict::Accepted);
    assert_targets(&lenient, "9");
}

#[test]
fn a_zone_that_becomes_known_is_taken_over() {
    let mut known = confirmed(50, "1");
    let zoned: Vec<_> = targets("1").into_iter().map(|target| target.in_zone("a")).collect();
    known.observe(Answer { targets: zoned.clone(), ..Answer::default() });
    assert_eq!(known.targets(), zoned);
}
