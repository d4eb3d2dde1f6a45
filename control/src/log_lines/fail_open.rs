use crate::status::{Checks, Status};

/// The line about fail-open, where that has changed.
pub(super) fn fail_open_line(before: &Status, after: &Status) -> Option<(log::Level, String)> {
    let (healthy, present) = after.healthy_of();
    let numbers = format!("{healthy} of {present} targets are healthy");
    let line = match (before.fail_open(), after.fail_open()) {
        (true, false) => return Some((log::Level::Info, format!("fail-open ends: {numbers}"))),
        (false, true) => "begins",
        (true, true) if uses_failing(before) != uses_failing(after) => "goes on",
        _ => return None,
    };
    let who = if uses_failing(after) {
        "all are used"
    } else {
        "those that pass their checks are used, ejected or not"
    };
    Some((log::Level::Warn, format!("fail-open {line}: {numbers}, so {who}")))
}

/// Whether targets get clients although their checks fail.
fn uses_failing(status: &Status) -> bool {
    status.eligible().any(|target| target.checks() != Some(&Checks::Passing))
}
