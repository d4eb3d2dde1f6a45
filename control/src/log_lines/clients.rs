use crate::status::Status;

/// The log line about clients being let in, waiting or being turned away, where that has changed.
pub(super) fn clients_line(before: &Status, after: &Status) -> Option<(log::Level, String)> {
    let eligible = after.eligible().count();
    let line = match (before.admits(), after.admits()) {
        (_, true) if present(after) == 0 => return turned_away_line(before),
        (false, true) => {
            format!("clients are let in: {eligible} of {} targets may get them", present(after))
        }
        (true, false) if before.eligible().next().is_some() => {
            "clients wait: none of the targets that they got is left, and the others are being \
             checked"
                .to_owned()
        }
        (true, false) => "clients wait: the targets are being checked".to_owned(),
        _ => return None,
    };
    Some((log::Level::Info, line))
}

fn turned_away_line(before: &Status) -> Option<(log::Level, String)> {
    let there = match (present(before), before.admits()) {
        (0, true) => return None,
        (0, false) => "there are no targets",
        _ => "no targets are left",
    };
    let line = format!("{there}: clients are turned away until there are some");
    Some((log::Level::Warn, line))
}

/// How many targets there are that do not drain.
fn present(status: &Status) -> usize {
    status.present().count()
}
