use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use exchange::TargetId;

use crate::policy::identity::Identity;

/// Whom an operator means: all targets with an id, or only the one of them at an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whom {
    pub(super) id: TargetId,
    pub(super) address: Option<SocketAddr>,
}

impl Whom {
    /// All with this id.
    pub(super) fn all(id: &TargetId) -> Self {
        Self { id: id.clone(), address: None }
    }

    /// Only this one.
    pub(super) fn only(target: &Identity) -> Self {
        Self { id: target.id.clone(), address: Some(target.address) }
    }

    fn is_called(&self, name: &TargetId) -> bool {
        self.id == *name || self.address.is_some() && self.address == address_in(name)
    }
}

/// The address that a name is, where an operator calls a target by its address.
pub(crate) fn address_in(name: &TargetId) -> Option<SocketAddr> {
    let address: SocketAddr = name.as_str().parse().ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// Most orders that are kept. They can be more only while more targets are known than that.
const ORDERS_MAX: usize = 1000;

/// Which targets operators want to drain: an order outlives its target's being away.
#[derive(Debug, Default)]
pub(super) struct DrainOrders {
    since: BTreeMap<Whom, Instant>,
}

impl DrainOrders {
    /// Adds an order unless there is one. Where there are too many, that one is forgotten that is
    /// oldest among those whose target is not known.
    pub(super) fn add(&mut self, whom: Whom, since: Instant, is_known: impl Fn(&Whom) -> bool) {
        self.since.entry(whom).or_insert(since);
        if self.since.len() > ORDERS_MAX {
            let away = self.since.iter().filter(|(whom, _)| !is_known(whom));
            let oldest = away.min_by_key(|(_, since)| **since).map(|(whom, _)| whom.clone());
            oldest.and_then(|whom| self.since.remove(&whom));
        }
    }

    /// Since when there was such an order.
    pub(super) fn remove(&mut self, whom: &Whom) -> Option<Instant> {
        self.since.remove(whom)
    }

    /// Removes the orders for whom `name` is the id or the address. Whether there were any.
    pub(super) fn remove_called(&mut self, name: &TargetId) -> bool {
        let before = self.since.len();
        self.since.retain(|whom, _| !whom.is_called(name));
        self.since.len() < before
    }

    /// Whether there is an order for whom `name` is the id or the address.
    pub(super) fn are_for(&self, name: &TargetId) -> bool {
        self.since.keys().any(|whom| whom.is_called(name))
    }

    /// The ids of those that there are orders for and that are not present, in order; [`ORDERS_MAX`]
    /// at most.
    pub(super) fn except(&self, is_present: impl Fn(&Whom) -> bool) -> Vec<TargetId> {
        let others = self.since.keys().filter(|whom| !is_present(whom));
        let mut ids: Vec<_> = others.take(ORDERS_MAX).map(|whom| whom.id.clone()).collect();
        ids.dedup();
        ids
    }

    /// Since when there is an order that holds for `target`.
    pub(super) fn since(&self, target: &Identity) -> Option<Instant> {
        if self.since.is_empty() {
            return None;
        }
        let orders = [Whom::all(&target.id), Whom::only(target)];
        orders.iter().filter_map(|whom| self.since.get(whom).copied()).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn orders_are_bounded_and_those_for_known_targets_are_kept() {
        let id = |n: usize| TargetId::new(&format!("i-{n}"));
        let all = |n: usize| Whom::all(&id(n));
        let target = |n: usize| Identity { id: id(n), address: ([10, 0, 0, 1], 80).into() };
        let start = Instant::now();
        let mut orders = DrainOrders::default();
        for n in 0..ORDERS_MAX + 10 {
            // Only the first one is still known.
            orders.add(all(n), start + Duration::from_secs(n as u64), |it| *it == all(0));
        }
        assert_eq!(orders.since.len(), ORDERS_MAX);
        assert_eq!(orders.since(&target(0)), Some(start));
        assert_eq!(orders.since(&target(10)), None);
        assert!(orders.since(&target(11)).is_some());
        let others = orders.except(|it| [all(0), all(11)].contains(it));
        assert_eq!((others.len(), others.contains(&id(0))), (ORDERS_MAX - 2, false));
        for n in 0..ORDERS_MAX + 10 {
            orders.add(all(n), start, |_| true); // all of them are known
        }
        assert_eq!(orders.except(|_| false).len(), ORDERS_MAX);
        orders.add(all(0), start + Duration::from_secs(9), |_| true);
        assert_eq!(orders.since(&target(0)), Some(start), "an order is not renewed");
        assert!(orders.remove_called(&id(0)) && !orders.remove_called(&id(0)));
    }
}
