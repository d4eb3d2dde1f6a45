use std::net::Ipv4Addr;

use super::*;
use crate::TargetId;
use testkit::seeds::seeds;

/// Instances with addresses in a row, as a subnet hands them out.
fn targets(count: u32) -> Vec<Arc<Target>> {
    let target = |number: u32| {
        let address = Ipv4Addr::from_bits(0x0a00_0100 + number);
        let id = TargetId::new(&format!("i-{:017x}", mix(number.into()) >> 4));
        Arc::new(Target { id, address: (address, 30080).into(), zone: None })
    };
    (0..count).map(target).collect()
}

fn key(address: &str) -> ClientKey {
    ClientKey::of(address.parse().unwrap())
}

/// Places of each target.
fn shares(affinity: &Affinity) -> Vec<usize> {
    let mut shares = vec![0; affinity.targets().len()];
    for &number in &affinity.table {
        shares[usize::from(number)] += 1;
    }
    shares
}

/// Of any fleet, not of one that happens to be lucky.
#[test]
fn targets_have_nearly_the_same_number_of_places() {
    for (count, fleets, few, many) in
        [(1, 1, 100, 100), (10, 20, 98, 102), (100, 20, 94, 106), (1000, 5, 84, 116)]
    {
        for fleet in 0..seeds(fleets) {
            let first = u32::try_from(fleet).unwrap() * count;
            let all = targets(first + count);
            let shares = shares(&Affinity::of(all[first as usize..].to_vec()));
            let mean = SIZE / count;
            let percent = |share: &usize| 100 * share / mean as usize;
            let (min, max) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(
                percent(min) >= few && percent(max) <= many,
                "{count} from {first}: {min} to {max} of {mean}"
            );
        }
    }
}

/// Clients whose addresses are in a row, as those of a network are: the most loaded target's share
/// beside the mean.
#[test]
fn clients_are_spread_like_places() {
    for (count, most) in [(10, 1.03), (100, 1.08), (1000, 1.28)] {
        let affinity = Affinity::of(targets(count));
        let mut clients = vec![0_u32; affinity.targets().len()];
        let all = 500_000;
        for client in 0..all {
            let address = Ipv4Addr::from_bits(0xc0a8_0000 + client);
            clients[affinity.choose(ClientKey::of(address.into())).unwrap()] += 1;
        }
        let max = f64::from(*clients.iter().max().unwrap());
        let ratio = max * f64::from(count) / f64::from(all);
        assert!(ratio <= most, "{count}: {ratio}");
    }
}

/// How many places of the one that has left each of the others has now; it panics if any other place
/// has changed hands.
fn heirs(all: &[Arc<Target>], gone: usize) -> Vec<u32> {
    let before = Affinity::of(all.to_vec());
    let gone = &all[gone];
    let after = Affinity::of(all.iter().filter(|&it| it != gone).cloned().collect());
    let mut heirs = vec![0; after.targets().len()];
    for (&then, &now) in before.table.iter().zip(&after.table) {
        let (then, now) = (usize::from(then), usize::from(now));
        if before.targets[then] == *gone {
            heirs[now] += 1;
        } else {
            assert_eq!(before.targets[then], after.targets[now], "{} targets", all.len());
        }
    }
    heirs
}

/// And, read the other way around: when one joins, only clients that it gets move.
#[test]
fn when_a_target_leaves_only_its_clients_move_and_not_to_one_alone() {
    for (count, most) in [(3, 0.55), (10, 0.13), (100, 0.02), (1000, 0.02)] {
        let all = targets(count);
        for gone in (0..all.len()).step_by(all.len().div_ceil(5)) {
            let heirs = heirs(&all, gone);
            let largest = f64::from(*heirs.iter().max().unwrap());
            let share = largest / f64::from(heirs.iter().sum::<u32>());
            assert!(share <= most, "{count}: {share}");
        }
    }
}

#[test]
fn the_order_of_discovery_and_zones_change_nothing() {
    let all = targets(50);
    let table = Affinity::of(all.clone()).table;
    let mut rng = 7;
    for _ in 0..5 {
        let mut shuffled = all.clone();
        shuffled.sort_by_cached_key(|target| {
            rng = mix(rng);
            rng ^ u64::from(target.address.port())
        });
        assert_eq!(Affinity::of(shuffled).table, table);
    }
    let zoned = |target: &Arc<Target>| Arc::new(Target::clone(target).in_zone("eu-west-1a"));
    assert_eq!(Affinity::of(all.iter().map(zoned).collect()).table, table);
    let twice = [all.clone(), all].concat();
    assert_eq!(Affinity::of(twice).table, table, "one that is listed twice counts once");
}

/// Instances of different releases stand side by side: what an earlier one chose, every later one
/// has to choose. These
/// values, computed by another program from the definitions above, must never be changed.
#[test]
fn choices_are_the_same_for_good() {
    let affinity = Affinity::of(targets(10));
    let sum = |affinity: &Affinity| {
        affinity.table.iter().fold(FNV_BASIS, |sum, number| hash(sum, &number.to_be_bytes()))
    };
    assert_eq!(sum(&affinity), 0xde42_8f78_769e_a772);
    assert_eq!(sum(&Affinity::of(targets(1000))), 0x2026_3630_45c5_bffb);
    for (client, chosen) in [
        ("192.0.2.1", "10.0.1.4:30080"),
        ("192.0.2.2", "10.0.1.1:30080"),
        ("198.51.100.77", "10.0.1.7:30080"),
        ("2001:db8::1", "10.0.1.1:30080"),
    ] {
        let number = affinity.choose(key(client)).unwrap();
        assert_eq!(affinity.targets()[number].address.to_string(), chosen, "{client}");
    }
    let other = Target::at("[2001:db8::5]:80".parse().unwrap());
    assert_eq!(key("192.0.2.1").preference(TargetKey::of(&other)), 0x412e_0dcb_87ce_6ff8);
}

#[test]
fn only_the_address_counts_and_it_counts_alike_in_both_families() {
    assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("::192.0.2.1"), key("192.0.2.1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
}

#[test]
fn id_and_address_both_make_a_target() {
    let at = |address: &str, id: &str| {
        TargetKey::of(&Target {
            id: TargetId::new(id),
            address: address.parse().unwrap(),
            zone: None,
        })
    };
    let one = at("10.0.0.1:80", "i-1");
    assert_eq!(one, at("10.0.0.1:80", "i-1"));
    for other in [at("10.0.0.1:80", "i-2"), at("10.0.0.2:80", "i-1"), at("10.0.0.1:81", "i-1")] {
        assert_ne!(one, other);
    }
}

#[test]
fn a_client_has_its_own_order_of_preference() {
    let keys: Vec<_> = targets(10).iter().map(|it| TargetKey::of(it)).collect();
    let mut firsts = [0_u32; 10];
    for client in 0..10_000 {
        let client = ClientKey::of(Ipv4Addr::from_bits(client).into());
        let first = (0..10).max_by_key(|&number| client.preference(keys[number])).unwrap();
        firsts[first] += 1;
    }
    assert!(firsts.iter().all(|count| count.abs_diff(1000) < 150), "{firsts:?}");
}

#[test]
fn targets_are_numbered() {
    let all = targets(20);
    let affinity = Affinity::of(all[1..].to_vec());
    for target in &all[1..] {
        assert_eq!(affinity.targets()[affinity.number_of(target).unwrap()], *target);
    }
    assert_eq!(affinity.number_of(&all[0]), None);
}

#[test]
fn there_is_no_choice_among_none_and_only_one_among_one() {
    assert_eq!(Affinity::of(vec![]).choose(key("192.0.2.1")), None);
    assert_eq!(Affinity::of(targets(1)).choose(key("192.0.2.1")), Some(0));
}
