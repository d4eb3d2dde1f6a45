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

/// Most wishes that are kept. They can be more only while more targets are known than that.
const WISHES_MAX: usize = 1000;

/// Which targets operators want to drain: a wish outlives its target's being away.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    since: BTreeMap<Whom, Instant>,
}

impl Wishes {
    /// Adds a wish unless there is one. Where there are too many, that one is forgotten that is
    /// oldest among those whose target is not known.
    pub(super) fn add(&mut self, whom: Whom, since: Instant, is_known: impl Fn(&Whom) -> bool) {
        self.since.entry(whom).or_insert(since);
        if self.since.len() > WISHES_MAX {
            let away = self.since.iter().filter(|(whom, _)| !is_known(whom));
            let oldest = away.min_by_key(|(_, since)| **since).map(|(whom, _)| whom.clone());
            oldest.and_then(|whom| self.since.remove(&whom));
        }
    }

    /// Since when there was such a wish.
    pub(super) fn remove(&mut self, whom: &Whom) -> Option<Instant> {
        self.since.remove(whom)
    }

    /// Removes the wishes for whom `name` is the id or the address. Whether there were any.
    pub(super) fn remove_called(&mut self, name: &TargetId) -> bool {
        let before = self.since.len();
        self.since.retain(|whom, _| !whom.is_called(name));
        self.since.len() < before
    }

    /// Whether there is a wish for whom `name` is the id or the address.
    pub(super) fn are_for(&self, name: &TargetId) -> bool {
        self.since.keys().any(|whom| whom.is_called(name))
    }

    /// The ids of those that there are wishes for and that are not present, in order; [`WISHES_MAX`]
    /// at most.
    pub(super) fn except(&self, is_present: impl Fn(&Whom) -> bool) -> Vec<TargetId> {
        let others = self.since.keys().filter(|whom| !is_present(whom));
        let mut ids: Vec<_> = others.take(WISHES_MAX).map(|whom| whom.id.clone()).collect();
        ids.dedup();
        ids
    }

    /// Since when there is a wish that holds for `target`.
    pub(super) fn since(&self, target: &Identity) -> Option<Instant> {
        if self.since.is_empty() {
            return None;
        }
        let wishes = [Whom::all(&target.id), Whom::only(target)];
        wishes.iter().filter_map(|whom| self.since.get(whom).copied()).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn wishes_are_bounded_and_those_for_known_targets_are_kept() {
        let id = |n: usize| TargetId::new(&format!("i-{n}"));
        let all = |n: usize| Whom::all(&id(n));
        let target = |n: usize| Identity { id: id(n), address: ([10, 0, 0, 1], 80).into() };
        let start = Instant::now();
        let mut wishes = Wishes::default();
        for n in 0..WISHES_MAX + 10 {
            // Only the first one is still known.
            wishes.add(all(n), start + Duration::from_secs(n as u64), |it| *it == all(0));
        }
        assert_eq!(wishes.since.len(), WISHES_MAX);
        assert_eq!(wishes.since(&target(0)), Some(start));
        assert_eq!(wishes.since(&target(10)), None);
        assert!(wishes.since(&target(11)).is_some());
        let others = wishes.except(|it| [all(0), all(11)].contains(it));
        assert_eq!((others.len(), others.contains(&id(0))), (WISHES_MAX - 2, false));
        for n in 0..WISHES_MAX + 10 {
            wishes.add(all(n), start, |_| true); // all of them are known
        }
        assert_eq!(wishes.except(|_| false).len(), WISHES_MAX);
        wishes.add(all(0), start + Duration::from_secs(9), |_| true);
        assert_eq!(wishes.since(&target(0)), Some(start), "a wish is not renewed");
        assert!(wishes.remove_called(&id(0)) && !wishes.remove_called(&id(0)));
    }
}
