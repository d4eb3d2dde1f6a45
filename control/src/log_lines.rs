//! What the log says of the targets: the words, not when they are written.

mod clients;
pub(crate) mod escaped;
mod fail_open;
pub(crate) mod name;
mod target;
mod zone;

use std::collections::HashMap;

use crate::policy::identity::Identity;
use crate::status::{Status, TargetStatus};
use name::name;

/// The log lines that tell `after` from `before`.
pub(crate) fn changes(before: &Status, after: &Status) -> Vec<(log::Level, String)> {
    let (old, new) = (by_identity(before), by_identity(after));
    let mut lines = Vec::new();
    for status in after.targets() {
        let old = old.get(&Identity::of(status.target())).copied();
        lines.extend(target::state_line(old, status));
        if status.is_reset() && old.is_none_or(|old| !old.is_reset()) {
            lines.extend(target::reset_line(status));
        }
    }
    for status in before.targets() {
        if !new.contains_key(&Identity::of(status.target())) {
            lines.push((log::Level::Info, format!("target {} is gone", name(status.target()))));
        }
    }
    if !before.fail_open() && after.fail_open() {
        lines.extend(target::untold_failures(after));
    }
    lines.extend(fail_open::fail_open_line(before, after));
    lines.extend(clients::clients_line(before, after));
    if rebalances(before) != rebalances(after) {
        lines.push((log::Level::Info, rebalance_line(after).to_owned()));
    }
    lines.extend(zone::zone_line(before, after));
    lines
}

fn by_identity(status: &Status) -> HashMap<Identity, &TargetStatus> {
    status.targets().iter().map(|it| (Identity::of(it.target()), it)).collect()
}

fn rebalances(status: &Status) -> bool {
    status.snapshot().rebalanced_since().is_some()
}

fn rebalance_line(after: &Status) -> &'static str {
    if rebalances(after) {
        "rebalancing begins: targets have joined; where there are too many, connections that rest \
         are closed (REBALANCE_RATE)"
    } else {
        "rebalancing ends"
    }
}

#[cfg(test)]
mod tests;
