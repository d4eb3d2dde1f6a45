//! Which zones new connections go to, by the rule of Envoy's zone-aware routing.

use std::collections::BTreeMap;

use exchange::Locality;

/// Divides new connections among the `eligible` targets' zones, as seen from a balancer in
/// `own_zone`. `eligible` are indices and zones. Empty where no zone is to be preferred: there is
/// only one, the own zone has no eligible target, or some target's zone is unknown.
///
/// How many balancers there are in each zone is not known here. They are taken to be spread evenly
/// over the zones with eligible targets, so that each zone's balancers bring 1/Z of all connections
/// for Z zones. A zone with at least that share of the targets carries all that its own balancers
/// bring. A smaller one keeps what makes its targets as loaded as all others (Z times its share of
/// the targets), and the rest goes to the larger zones, in proportion to what each is larger by:
/// what the small ones have too much adds up to what the large ones have room for, so in the end
/// every target gets the same.
///
/// <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/zone_aware>
pub(crate) fn localities<'a>(
    own_zone: &str,
    eligible: impl Iterator<Item = (usize, Option<&'a str>)>,
) -> Vec<Locality> {
    let mut others = BTreeMap::<&str, Vec<usize>>::new();
    let mut targets: u128 = 0;
    for (index, zone) in eligible {
        let Some(zone) = zone else { return Vec::new() };
        others.entry(zone).or_default().push(index);
        targets += 1;
    }
    let zones = others.len() as u128;
    let Some(own) = others.remove(own_zone) else { return Vec::new() };
    if others.is_empty() {
        return Vec::new();
    }
    // In whole numbers: Z times a zone's targets is to all targets as its share is to 1/Z.
    let size = |entries: &[usize]| entries.len() as u128 * zones;
    let kept = size(&own);
    if kept >= targets {
        return vec![Locality::new(Locality::WHOLE, own)];
    }
    let room = |entries: &[usize]| size(entries).saturating_sub(targets);
    // Not 0: where one zone is smaller than the mean, another is larger.
    let rooms: u128 = others.values().map(|entries| room(entries)).sum();
    let spilled = others.into_values().map(|entries| ((targets - kept) * room(&entries), entries));
    shared_out(std::iter::once((kept * rooms, own)).chain(spilled), targets * rooms)
}

/// Turns parts of `whole` into shares that add up exactly; each is off by less than one unit, and
/// the first is not rounded up.
fn shared_out(parts: impl Iterator<Item = (u128, Vec<usize>)>, whole: u128) -> Vec<Locality> {
    let mut sum = 0;
    let mut given = 0;
    let localities = parts.map(|(part, entries)| {
        sum += part;
        let up_to = sum * u128::from(Locality::WHOLE) / whole;
        let up_to = u32::try_from(up_to).expect("parts do not exceed the whole");
        let share = up_to - given;
        given = up_to;
        Locality::new(share, entries)
    });
    localities.filter(|locality| locality.share() > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::seeds::seeds;

    /// The localities of a balancer in zone `own`, given how many targets each zone has, and how
    /// many entries of each zone they list.
    fn seen_from(own: usize, sizes: &[usize]) -> Vec<(u32, Vec<usize>)> {
        let zones: Vec<_> = (0..sizes.len()).map(|zone| format!("zone-{zone}")).collect();
        let of = |zone: usize| std::iter::repeat_n(zone, sizes[zone]);
        let zone_of: Vec<_> = (0..sizes.len()).flat_map(of).collect();
        let eligible = zone_of.iter().enumerate().map(|(i, &zone)| (i, Some(&*zones[zone])));
        let localities = localities(&zones[own], eligible);
        let in_zones = localities.into_iter().map(|locality| {
            let zones: Vec<_> = locality.entries().iter().map(|&index| zone_of[index]).collect();
            (locality.share(), zones)
        });
        in_zones.collect()
    }

    #[test]
    fn a_zone_that_can_carry_its_share_keeps_everything() {
        assert_eq!(seen_from(0, &[2, 2]), [(65536, vec![0, 0])]);
        assert_eq!(seen_from(1, &[1, 2, 3]), [(65536, vec![1, 1])]);
        assert_eq!(seen_from(0, &[3, 1]), [(65536, vec![0, 0, 0])]);
    }

    #[test]
    fn a_small_zone_keeps_its_part_and_spills_the_rest_by_residual_capacity() {
        // A quarter of the targets for half of the connections: half of them stay.
        assert_eq!(seen_from(0, &[1, 3]), [(32768, vec![0]), (32768, vec![1, 1, 1])]);
        // 1 of 12 in three zones keeps a quarter; over the mean of 4 by 1 and 2.
        assert_eq!(
            seen_from(0, &[1, 5, 6]),
            [(16384, vec![0]), (16384, vec![1; 5]), (32768, vec![2; 6])]
        );
        // A zone just as large as the mean has no room.
        assert_eq!(seen_from(2, &[4, 6, 2]), [(32768, vec![2; 2]), (32768, vec![1; 6])]);
    }

    #[test]
    fn no_zone_is_preferred_where_that_would_say_nothing_or_too_little_is_known() {
        let of =
            |zones: &[Option<&'static str>]| localities("a", zones.iter().copied().enumerate());
        assert!(of(&[]).is_empty());
        assert!(of(&[Some("a"), Some("a")]).is_empty(), "one zone");
        assert!(of(&[Some("b"), Some("c")]).is_empty(), "none in the own zone");
        assert!(of(&[Some("a"), Some("b"), None]).is_empty(), "an unknown zone");
        assert!(!of(&[Some("a"), Some("b")]).is_empty());
    }

    /// One balancer in each zone, each with as many connections: every target gets the same.
    #[test]
    fn no_target_is_overloaded_whatever_the_sizes() {
        for seed in 0..seeds(20_000) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let zones = rng.usize(2..=6);
            let largest = [3, 10, 300][rng.usize(..3)];
            let sizes: Vec<_> = (0..zones).map(|_| rng.usize(1..=largest)).collect();
            let targets: usize = sizes.iter().sum();
            let mut loads = vec![0_u64; zones];
            for own in 0..zones {
                let localities = seen_from(own, &sizes);
                let shares: u32 = localities.iter().map(|(share, _)| share).sum();
                assert_eq!(shares, Locality::WHOLE, "seed {seed}: {sizes:?}");
                for (share, listed) in &localities {
                    let zone = listed[0];
                    assert_eq!(*listed, vec![zone; sizes[zone]], "seed {seed}: {sizes:?}");
                    loads[zone] += u64::from(*share);
                }
                let (kept, listed) = &localities[0];
                // Alone with its own balancer's connections a zone is never above the mean.
                let mean = Locality::WHOLE as usize * zones * sizes[own];
                let above = listed[0] == own && *kept as usize * targets > mean;
                assert!(!above, "seed {seed}: {sizes:?} from {own}");
            }
            for (zone, load) in loads.into_iter().enumerate() {
                let fair = Locality::WHOLE as usize * zones * sizes[zone];
                let off = (usize::try_from(load).unwrap() * targets).abs_diff(fair);
                // Each balancer's share for the zone is off by less than one unit.
                assert!(off <= zones * targets, "seed {seed}: {sizes:?}: {zone} gets {load}");
            }
        }
    }
}
