use exchange::ResetReason;

use super::name::name;
use crate::status::{Checks, Status, TargetState, TargetStatus};

/// One line for each new state, and for each failed attempt to connect to an ejected target that has
/// another error or another wait. That checks of an unhealthy
/// target now fail for another reason is not worth one.
pub(super) fn state_line(
    old: Option<&TargetStatus>,
    new: &TargetStatus,
) -> Option<(log::Level, String)> {
    let was = |state| old.is_some_and(|old| old.state() == state);
    let is_told_apart = matches!(new.state(), TargetState::Ejected | TargetState::Draining);
    let has_turned = is_told_apart && old.is_some_and(|old| old.reason() != new.reason());
    if was(new.state()) && !has_turned {
        return None;
    }
    let is_bad = matches!(new.state(), TargetState::Unhealthy | TargetState::Ejected);
    let level = if is_bad { log::Level::Warn } else { log::Level::Info };
    let is_back = new.state() == TargetState::Healthy && was(TargetState::Ejected);
    let reason = new.reason().or(is_back.then_some("it can be connected to again"));
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Some((level, format!("target {} is {}{reason}", name(new.target()), new.state())))
}

/// How many connections that costs, if any: all cores are about to do it.
pub(super) fn reset_line(target: &TargetStatus) -> Option<(log::Level, String)> {
    let count = match target.counters().active() {
        0 => return None,
        1 => "1 connection is".to_owned(),
        count => format!("{count} connections are"),
    };
    let why = match target.entry().reset()? {
        ResetReason::DrainTimeout => "DRAIN_TIMEOUT is over",
        ResetReason::Unhealthy => "UNHEALTHY_CONNECTIONS=reset",
    };
    Some((log::Level::Warn, format!("target {}: {count} reset ({why})", name(target.target()))))
}

/// So many targets are told of one by one.
pub(super) const FAILURES_TOLD_MAX: usize = 10;

/// Why checks fail of targets of which that was not said yet, since they have not failed often
/// enough, or something else is the matter with them: fail-open may begin all the same.
pub(super) fn untold_failures(after: &Status) -> Vec<(log::Level, String)> {
    let told = [TargetState::Unhealthy, TargetState::Draining];
    let untold = after.targets().iter().filter(|it| !told.contains(&it.state()));
    let mut failures: Vec<_> = untold
        .filter_map(|it| match it.checks() {
            Some(Checks::Failing(why)) => Some((it.target(), why)),
            _ => None,
        })
        .map(|(target, why)| format!("target {} fails its health check: {why}", name(target)))
        .collect();
    let more = failures.len().saturating_sub(FAILURES_TOLD_MAX);
    failures.truncate(FAILURES_TOLD_MAX);
    failures
        .extend((more > 0).then(|| format!("and {more} more targets fail theirs: see /targets")));
    failures.into_iter().map(|line| (log::Level::Warn, line)).collect()
}
