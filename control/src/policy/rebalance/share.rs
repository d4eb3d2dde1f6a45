use std::time::Instant;

use exchange::{Entry, Locality, Snapshot};

/// The part of all new connections that each entry of `snapshot` gets at `now`, as the cores choose:
/// that much of all connections is its share. 0.0 for those that get none.
pub(crate) fn shares(snapshot: &Snapshot, now: Instant) -> Vec<f64> {
    let mut shares = vec![0.0; snapshot.entries.len()];
    let eligible = snapshot.entries.iter().enumerate().filter(|(_, entry)| entry.eligible);
    let eligible: Vec<_> = eligible.map(|(index, _)| index).collect();
    if snapshot.localities.is_empty() {
        divide(1.0, &eligible, snapshot, now, &mut shares);
    }
    for Locality { share, entries } in &snapshot.localities {
        let part = f64::from(*share) / f64::from(Locality::WHOLE);
        divide(part, entries, snapshot, now, &mut shares);
    }
    shares
}

/// Divides `whole` among the `members`: each one that ramps gets its part of an even share, and the
/// others what is left.
fn divide(whole: f64, members: &[usize], snapshot: &Snapshot, now: Instant, shares: &mut [f64]) {
    let part = |entry: &Entry| entry.ramp.map_or(1.0, |ramp| ramp.part(now));
    let parts = members.iter().map(|&index| (index, part(&snapshot.entries[index])));
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

    use exchange::{Ramp, Target, TargetCounters};

    use super::*;

    /// Entries of which `eligible` may be used.
    fn snapshot(eligible: &[bool]) -> Snapshot {
        let entries = eligible.iter().zip(1..).map(|(&eligible, port)| {
            let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
            Entry { eligible, ..Entry::new(target, Arc::new(TargetCounters::new(1))) }
        });
        Snapshot { entries: entries.collect(), ..Snapshot::default() }
    }

    fn assert_shares(snapshot: &Snapshot, now: Instant, expected: &[f64]) {
        let shares = shares(snapshot, now);
        let is_right = shares.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(is_right && shares.len() == expected.len(), "{shares:?}");
    }

    #[test]
    fn eligible_targets_share_alike() {
        let now = Instant::now();
        assert_shares(&snapshot(&[]), now, &[]);
        assert_shares(&snapshot(&[false]), now, &[0.0]);
        assert_shares(&snapshot(&[true, false, true]), now, &[0.5, 0.0, 0.5]);
    }

    #[test]
    fn who_ramps_has_a_part_of_it_and_the_others_the_rest() {
        let now = Instant::now();
        let mut snapshot = snapshot(&[true, true, true, true]);
        let ramp = Some(Ramp { since: now, duration: Duration::from_secs(10) });
        snapshot.entries[1].ramp = ramp;
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_shares(&snapshot, now, &[1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]);
        assert_shares(&snapshot, at(4), &[0.3, 0.1, 0.3, 0.3]);
        assert_shares(&snapshot, at(10), &[0.25; 4]);
        for entry in &mut snapshot.entries {
            entry.ramp = ramp;
        }
        assert_shares(&snapshot, at(4), &[0.25; 4]);
    }

    #[test]
    fn localities_have_their_shares_and_others_none() {
        let mut snapshot = snapshot(&[true, true, true, true]);
        snapshot.localities = vec![
            Locality { share: Locality::WHOLE / 4, entries: vec![2] },
            Locality { share: Locality::WHOLE / 4 * 3, entries: vec![0, 3] },
        ];
        assert_shares(&snapshot, Instant::now(), &[0.375, 0.0, 0.25, 0.375]);
    }
}
