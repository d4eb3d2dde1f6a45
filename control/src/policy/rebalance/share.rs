use std::time::Instant;

use exchange::{Entry, Locality, Routing};

/// The part of all new connections that each entry of `routing` gets at `now`, as the cores choose:
/// that much of all connections is its share. 0.0 for those that get none.
pub(crate) fn shares(routing: &Routing, now: Instant) -> Vec<f64> {
    let mut shares = vec![0.0; routing.entries().len()];
    let eligible = routing.entries().iter().enumerate().filter(|(_, entry)| entry.is_eligible());
    let eligible: Vec<_> = eligible.map(|(index, _)| index).collect();
    if routing.localities().is_empty() {
        divide(1.0, &eligible, routing, now, &mut shares);
    }
    for locality in routing.localities() {
        let part = f64::from(locality.share()) / f64::from(Locality::WHOLE);
        divide(part, locality.entries(), routing, now, &mut shares);
    }
    shares
}

/// Divides `whole` among the `members`: each one that ramps gets its part of an even share, and the
/// others what is left.
fn divide(whole: f64, members: &[usize], routing: &Routing, now: Instant, shares: &mut [f64]) {
    let part = |entry: &Entry| entry.ramp().map_or(1.0, |ramp| ramp.part(now));
    let parts = members.iter().map(|&index| (index, part(&routing.entries()[index])));
    let parts: Vec<_> = parts.collect();
    let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let steady = parts.iter().filter(|(_, part)| *part >= 1.0).count();
    if steady == 0 {
        return parts.iter().for_each(|(index, _)| shares[*index] = whole / count(parts.len()));
    }
    let ramping = parts.iter().filter(|(_, part)| *part < 1.0);
    let even = whole / count(parts.len());
    let rest = whole - ramping.map(|(_, part)| part * even).sum::<f64>();
    for (index, part) in parts {
        shares[index] = if part < 1.0 { part * even } else { rest / count(steady) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use exchange::{Eligibility, Ramp, Target, TargetCounters};

    use super::*;

    /// Entries of which `eligible` may be used.
    fn routing(eligible: &[bool]) -> Routing {
        let entries = eligible.iter().zip(1..).map(|(&eligible, port)| {
            let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
            let eligibility = if eligible { Eligibility::Full } else { Eligibility::None };
            let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
            entry.with_eligibility(eligibility)
        });
        Routing::to(entries.collect())
    }

    /// The same with the ramp for those of the entries.
    fn ramping(routing: &Routing, which: &[usize], ramp: Ramp) -> Routing {
        let entries = routing.entries().iter().cloned().enumerate();
        let entries =
            entries.map(
                |(index, entry)| {
                    if which.contains(&index) { entry.with_ramp(Some(ramp)) } else { entry }
                },
            );
        Routing::to(entries.collect())
    }

    fn assert_shares(routing: &Routing, now: Instant, expected: &[f64]) {
        let shares = shares(routing, now);
        let is_right = shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(is_right && shares.len() == expected.len(), "{shares:?}");
    }

    #[test]
    fn eligible_targets_share_alike() {
        let now = Instant::now();
        assert_shares(&routing(&[]), now, &[]);
        assert_shares(&routing(&[false]), now, &[0.0]);
        assert_shares(&routing(&[true, false, true]), now, &[0.5, 0.0, 0.5]);
    }

    #[test]
    fn who_ramps_has_a_part_of_it_and_the_others_the_rest() {
        let now = Instant::now();
        let ramp = Ramp::new(now, Duration::from_secs(10));
        let all = routing(&[true, true, true, true]);
        let one = ramping(&all, &[1], ramp);
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_shares(&one, now, &[1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_shares(&one, at(4), &[0.3, 0.1, 0.3, 0.3]);
        assert_shares(&one, at(10), &[0.25; 4]);
        assert_shares(&ramping(&all, &[0, 1, 2, 3], ramp), at(4), &[0.25; 4]);
    }

    #[test]
    fn localities_have_their_shares_and_others_none() {
        let localities = vec![
            Locality::new(Locality::WHOLE / 4, vec![2]),
            Locality::new(Locality::WHOLE / 4 * 3, vec![0, 3]),
        ];
        let routing = routing(&[true, true, true, true]).with_localities(localities);
        assert_shares(&routing, Instant::now(), &[0.375, 0.0, 0.25, 0.375]);
    }
}
