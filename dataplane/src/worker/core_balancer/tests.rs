use std::thread;

use exchange::ServiceIndex;

use super::*;

fn client() -> NewClient {
    let socket = std::fs::File::open("/dev/null").unwrap().into();
    NewClient { service: ServiceIndex::default(), socket }
}

/// Ends for so many cores that take, and their counters.
fn ends(cores: usize) -> (Vec<CoreBalancer>, Vec<CoreCounters>) {
    let (_, subscribers) = exchange::broadcast(cores, 1).unwrap();
    let wakers = subscribers.iter().map(|subscriber| subscriber[0].waker().clone()).collect();
    let ends = CoreBalancer::between(wakers);
    for end in &ends {
        end.set_open(true);
    }
    (ends, (0..cores).map(|_| CoreCounters::default()).collect())
}

#[test]
fn whoever_clients_come_to_all_cores_have_alike() {
    for (seed, cores) in (0..200).zip([2, 3, 4, 8].into_iter().cycle()) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let skew = rng.usize(1..=cores);
        let mut loads = vec![Some(0_u64); cores];
        for arrived in 1..=640_u64 {
            let own = rng.usize(..skew);
            let receiver_core = lighter_core(&loads, loads[own].unwrap()).unwrap_or(own);
            *loads[receiver_core].as_mut().unwrap() += 1;
            // One more than even, or 5 % more than the mean.
            let max = loads.iter().flatten().max().unwrap();
            let mean = arrived.div_ceil(cores as u64);
            let most = (mean + LEAD_MAX + 1).max(mean * PERCENT_OF_MEAN_MAX / 100);
            assert!(*max <= most, "seed {seed}: {loads:?} of {arrived}");
            if cores == 2 && arrived == 64 {
                assert!(*max <= 33, "seed {seed}: {loads:?}");
            }
        }
    }
}

#[test]
fn small_differences_are_left_alone() {
    assert_eq!(lighter_core(&[Some(0)], 0), None);
    assert_eq!(lighter_core(&[Some(1), Some(0)], 1), None);
    assert_eq!(lighter_core(&[Some(2), Some(0)], 2), Some(1));
    assert_eq!(lighter_core(&[Some(1040), Some(1000)], 1040), None);
    assert_eq!(lighter_core(&[Some(1060), Some(1000), Some(900)], 1060), Some(2));
    assert_eq!(lighter_core(&[Some(900), None, Some(0)], 900), Some(2));
    assert_eq!(lighter_core(&[Some(900), None], 900), None);
}

#[test]
fn what_is_on_its_way_counts() {
    let (mut ends, counters) = ends(2);
    ends[0].look(&counters);
    let mut own = 0;
    for _ in 0..10 {
        own += u64::from(ends[0].offer(client(), own).is_some());
    }
    assert_eq!((own, ends[0].in_transit()), (6, 4));
    // Seen by a core that looks only now, too.
    ends[1].look(&counters);
    assert_eq!(ends[1].loads, [Some(0), Some(4)]);
    while ends[1].receive().is_some() {
        counters[1].of(ServiceIndex::default()).connections.active.increment();
        ends[1].note_received();
    }
    assert_eq!(
        (ends[0].in_transit(), counters[1].of(ServiceIndex::default()).connections.active.get()),
        (0, 4)
    );
}

#[test]
fn nothing_is_handed_to_a_core_that_is_closed_or_full() {
    let (mut ends, counters) = ends(2);
    ends[1].set_open(false);
    ends[0].look(&counters);
    assert!(ends[0].offer(client(), 100).is_some());
    ends[1].set_open(true);
    for _ in 0..QUEUE {
        ends[0].look(&counters);
        assert!(ends[0].offer(client(), 10_000).is_none());
    }
    ends[0].look(&counters);
    assert!(ends[0].offer(client(), 10_000).is_some());
    assert_eq!(ends[0].in_transit(), QUEUE);
}

#[test]
fn many_cores_are_looked_at_in_turn() {
    let (mut ends, counters) = ends(LOOKS_MAX * 2);
    counters[LOOKS_MAX].of(ServiceIndex::default()).connections.active.add(7);
    ends[0].look(&counters);
    assert_eq!(ends[0].loads.iter().flatten().count(), LOOKS_MAX);
    ends[0].look(&counters);
    assert_eq!(ends[0].loads[LOOKS_MAX], Some(7));
}

#[test]
fn nobody_ends_while_something_may_come() {
    const GIVEN: usize = 200;
    for _ in 0..20 {
        let (ends, counters) = ends(3);
        let counters = Arc::<[CoreCounters]>::from(counters);
        let taken: usize = thread::scope(|scope| {
            let cores: Vec<_> = ends
                .into_iter()
                .map(|mut end| {
                    let counters = Arc::clone(&counters);
                    scope.spawn(move || {
                        let mut taken = 0;
                        for _ in 0..GIVEN {
                            end.look(&counters);
                            taken += usize::from(end.offer(client(), 1_000_000).is_some());
                        }
                        end.stop_moving();
                        while !end.is_over() {
                            taken +=
                                end.receive().into_iter().inspect(|_| end.note_received()).count();
                        }
                        taken
                    })
                })
                .collect();
            cores.into_iter().map(|core| core.join().unwrap()).sum()
        });
        assert_eq!(taken, 3 * GIVEN);
    }
}
