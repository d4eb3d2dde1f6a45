use std::collections::{BTreeMap, BTreeSet};

use exchange::TargetId;

use super::drain_orders::{DrainOrders, Whom, address_in};
use super::member::Member;
use crate::policy::identity::Identity;

/// All known targets, ordered, so that every instance lists the same targets alike.
pub(super) type Members = BTreeMap<Identity, Member>;

/// The known targets with this id; where there are none, the one at this address, which is among
/// those that are discovered if it can be.
pub(super) fn called(members: &Members, name: &TargetId) -> Vec<Identity> {
    let find = |is_it: &dyn Fn(&Identity, &Member) -> bool| -> Vec<Identity> {
        let found = members.iter().filter(|(identity, member)| is_it(identity, member));
        found.map(|(identity, _)| identity.clone()).collect()
    };
    let is_there = |it: &Identity| Some(it.address) == address_in(name);
    let mut called = find(&|it, _| it.id == *name);
    if called.is_empty() {
        called = find(&|it, member| is_there(it) && !member.drain.is_withdrawn());
    }
    if called.is_empty() {
        called = find(&|it, _| is_there(it));
    }
    called
}

/// Whether an order is about anybody who is known.
pub(super) fn is_known(members: &Members, whom: &Whom) -> bool {
    match whom.address {
        Some(address) => members.contains_key(&Identity { address, id: whom.id.clone() }),
        None => members.keys().any(|member| member.id == whom.id),
    }
}

/// Has everybody drain as it is ordered.
pub(super) fn follow(members: &mut Members, orders: &DrainOrders) {
    for (identity, member) in members {
        member.drain.order(orders.since(identity));
    }
}

/// The ids of those that orders are for and discovery does not know now, in order.
pub(super) fn drained_absent(members: &Members, orders: &DrainOrders) -> Vec<TargetId> {
    let is_discovered = |member: &&Member| !member.drain.is_withdrawn();
    let discovered = members.values().filter(is_discovered);
    let drained = discovered.filter(|member| member.drain.is_ordered());
    let ids: BTreeSet<_> = drained.map(|member| &member.target.id).collect();
    orders.except(|whom| match whom.address {
        Some(address) => {
            let one = members.get(&Identity { address, id: whom.id.clone() });
            one.as_ref().is_some_and(is_discovered)
        }
        None => ids.contains(&whom.id),
    })
}
