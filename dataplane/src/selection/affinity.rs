use std::rc::Rc;
use std::sync::Arc;

use exchange::{Affinity, ClientKey};

use crate::selection::local_target::LocalTarget;

/// Which target each client keeps, among those that one core may use.
#[derive(Debug)]
pub(crate) struct LocalAffinity {
    affinity: Arc<Affinity>,
    /// By the numbers of the table; none in place of a target that is not eligible.
    targets: Vec<Option<Rc<LocalTarget>>>,
}

impl LocalAffinity {
    pub(crate) fn new(affinity: &Arc<Affinity>, eligible: &[Rc<LocalTarget>]) -> Self {
        let mut targets = vec![None; affinity.targets().len()];
        for target in eligible {
            if let Some(number) = affinity.number_of(target.target()) {
                targets[number] = Some(Rc::clone(target));
            }
        }
        Self { affinity: Arc::clone(affinity), targets }
    }

    /// The client's target; none if it may not be used any more.
    pub(crate) fn choose(&self, client: ClientKey) -> Option<&Rc<LocalTarget>> {
        self.targets.get(self.affinity.choose(client)?)?.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Instant;

    use exchange::{Eligibility, Entry, Routing, Snapshot, Target, TargetCounters};

    use super::*;
    use crate::selection::balance::Balance;
    use crate::selection::choice::{Choice, Chooser, Tried};
    use crate::selection::targets::Targets;

    /// Targets at these ports, and a table of those in `mapped`.
    fn snapshot(ports: &[u16], mapped: &[u16]) -> Snapshot {
        let target = |&port: &u16| Arc::new(Target::at(([10, 0, 0, 1], port).into()));
        let entries = ports.iter().map(target).map(|target| {
            let entry = Entry::new(target, Arc::new(TargetCounters::new(2)));
            entry.with_eligibility(Eligibility::Full)
        });
        let affinity = Some(Arc::new(Affinity::of(mapped.iter().map(target).collect())));
        Routing::to(entries.collect()).with_affinity(affinity).into()
    }

    /// One core that goes by a snapshot.
    struct Core {
        targets: Targets,
        chooser: Chooser,
    }

    impl Core {
        fn new(number: usize, snapshot: &Snapshot) -> Self {
            let mut targets = Targets::new(number, 2);
            targets.update(snapshot);
            let rng = fastrand::Rng::with_seed(number as u64);
            Self { targets, chooser: Chooser::new(Balance::Maglev, 16, 2, rng, Instant::now()) }
        }

        /// The targets that are tried for a client while none can be reached.
        fn choices(&mut self, client: u32) -> Vec<SocketAddr> {
            let mut tried = Tried::default();
            let client = ClientKey::of(Ipv4Addr::from_bits(client).into());
            let mut choices = Vec::new();
            while let Choice::Connect(target) =
                self.chooser.choose(&self.targets, Some(client), &tried, Instant::now())
            {
                choices.push(target.address());
                tried.add(target);
            }
            choices
        }
    }

    const PORTS: [u16; 5] = [1, 2, 3, 4, 5];

    #[test]
    fn cores_agree_on_every_choice_and_no_target_is_left_out() {
        let mut near = Core::new(0, &snapshot(&PORTS, &PORTS));
        let mut far = Core::new(1, &snapshot(&[5, 3, 1, 2, 4], &[4, 2, 5, 1, 3]));
        let mut orders = HashSet::new();
        for client in 0..300 {
            let choices = near.choices(client);
            assert_eq!(choices, far.choices(client));
            assert_eq!(choices.iter().collect::<HashSet<_>>().len(), 5);
            orders.insert(choices);
        }
        assert!(orders.len() > 60, "of 120: {}", orders.len());
    }

    #[test]
    fn the_first_choice_is_the_tables_for_as_long_as_it_can_be() {
        let table = Affinity::of(
            snapshot(&PORTS, &[]).entries().iter().map(|it| Arc::clone(it.target())).collect(),
        );
        let mut all = Core::new(0, &snapshot(&PORTS, &PORTS));
        // One has left, and no table without it is there yet.
        let mut fewer = Core::new(0, &snapshot(&PORTS[1..], &PORTS));
        // One has come.
        let mut more = Core::new(0, &snapshot(&[1, 2, 3, 4, 5, 6], &PORTS));
        for client in 0..300 {
            let key = ClientKey::of(Ipv4Addr::from_bits(client).into());
            let own = table.targets()[table.choose(key).unwrap()].address;
            assert_eq!(all.choices(client)[0], own);
            assert_eq!(more.choices(client)[0], own);
            let left = fewer.choices(client)[0];
            // Its clients go where they would for another try.
            let expected = if own.port() == 1 { all.choices(client)[1] } else { own };
            assert_eq!(left, expected);
        }
    }

    #[test]
    fn a_client_that_nobody_knows_gets_any_target() {
        let mut core = Core::new(0, &snapshot(&PORTS, &PORTS));
        let mut seen = HashSet::new();
        for _ in 0..200 {
            let choice =
                core.chooser.choose(&core.targets, None, &Tried::default(), Instant::now());
            let Choice::Connect(target) = choice else { panic!("{choice:?}") };
            seen.insert(target.address());
        }
        assert_eq!(seen.len(), 5);
    }
}
