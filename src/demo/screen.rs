//! What the demo shows: one line for each target.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use exchange::{Snapshot, TargetState};
use tokio::sync::watch;

use super::stage::Stage;
use super::target::Target;

/// Between two looks at the counters.
const REFRESH_PERIOD: Duration = Duration::from_millis(500);

/// How long the bar of a target is that gets all requests.
const BAR_CHARS: u64 = 24;

/// One target as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    number: usize,
    address: String,
    alive: bool,
    state: Option<TargetState>,
    connections: u64,
    requests: u64,
}

impl Row {
    fn new(target: &Target, snapshot: &Snapshot) -> Self {
        let entry = snapshot.entries.iter().find(|entry| entry.target.address == target.address);
        Self {
            number: target.number,
            address: target.address.to_string(),
            alive: target.is_alive(),
            state: entry.map(|entry| entry.state),
            connections: entry.map_or(0, |entry| entry.counters.active()),
            requests: target.requests(),
        }
    }

    fn state(&self) -> &'static str {
        self.state.map_or("unknown", TargetState::as_str)
    }
}

/// Shows the targets until cancelled: on a terminal in place, else a line per change.
pub(super) async fn show(
    stage: Arc<Stage>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    in_place: bool,
) {
    let mut shown: Vec<Row> = Vec::new();
    let mut ticks = tokio::time::interval(REFRESH_PERIOD);
    loop {
        ticks.tick().await;
        let snapshot = Arc::clone(&snapshots.borrow());
        let rows: Vec<_> = stage.targets.iter().map(|t| Row::new(t, &snapshot)).collect();
        let text = if in_place { frame(&rows, &shown, &stage) } else { changes(&rows, &shown) };
        // Nobody looks any more: no reason to end.
        let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
        shown = rows;
    }
}

/// A table drawn over the last one, if there is one.
fn frame(rows: &[Row], last: &[Row], stage: &Stage) -> String {
    let mut text = String::new();
    if !last.is_empty() {
        // Up over the rows, the heading and the line below.
        let _ = write!(text, "\x1b[{}A", rows.len() + 2);
    }
    text.push_str("  key  target             process  state      connections  requests\x1b[K\n");
    let since = |row: &Row| {
        let before = last.iter().find(|old| old.number == row.number).map_or(0, |old| old.requests);
        row.requests.saturating_sub(before)
    };
    let all: u64 = rows.iter().map(since).sum();
    for row in rows {
        let bar = (since(row) * BAR_CHARS).checked_div(all).unwrap_or_default();
        let process = if row.alive { "alive" } else { "killed" };
        let colour = match row.state {
            Some(TargetState::Healthy) => "\x1b[32m",
            Some(TargetState::Unhealthy) => "\x1b[31m",
            _ => "\x1b[33m",
        };
        let bar: String = (0..bar).map(|_| '■').collect();
        let _ = writeln!(
            text,
            "   {}   {:<17}  {process:<7}  {colour}{:<9}\x1b[0m  {:>11}  {:>8}  {bar}\x1b[K",
            row.number,
            row.address,
            row.state(),
            row.connections,
            row.requests,
        );
    }
    let traffic = if stage.traffic.is_running() { "on" } else { "off" };
    let _ = writeln!(
        text,
        "  traffic {traffic}, {} broken connections  (keys: 1-4 kill or revive, t traffic, q quit)\x1b[K",
        stage.traffic.failed()
    );
    text
}

/// One line for each target that is not as it was.
fn changes(rows: &[Row], last: &[Row]) -> String {
    let mut text = String::new();
    for row in rows.iter().filter(|row| !last.contains(row)) {
        let process = if row.alive { "" } else { " (killed)" };
        let _ = writeln!(
            text,
            "target {} {}{process} {} connections={} requests={}",
            row.number,
            row.address,
            row.state(),
            row.connections,
            row.requests,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: usize, requests: u64) -> Row {
        Row {
            number,
            address: format!("127.0.0.1{number}:80"),
            alive: true,
            state: Some(TargetState::Healthy),
            connections: 0,
            requests,
        }
    }

    #[test]
    fn only_changed_targets_are_printed() {
        let last = [row(1, 0), row(2, 0)];
        assert_eq!(changes(&last, &last), "");
        let now = [row(1, 0), Row { alive: false, ..row(2, 5) }];
        let line = "target 2 127.0.0.12:80 (killed) healthy connections=0 requests=5\n";
        assert_eq!(changes(&now, &last), line);
    }
}
