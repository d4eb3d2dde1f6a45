//! What the demo shows: one line for each target.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use exchange::{Snapshot, TargetState};
use tokio::sync::watch;

use super::painter::Painter;
use super::stage::Stage;
use super::target::Target;
use super::traffic::Traffic;

/// Between two looks at the counters.
const REFRESH_PERIOD: Duration = Duration::from_millis(500);

/// How long the bar of a target is that gets all requests: it ends in column 79.
const BAR_CHARS: u64 = 10;

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
        self.state.map_or("checking", TargetState::as_str)
    }
}

/// Shows the targets until cancelled: in place where there is a `painter`, else a line per change.
pub(super) async fn show(
    stage: Arc<Stage>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    painter: Option<Arc<Painter>>,
    has_keys: bool,
) {
    let mut shown: Vec<Row> = Vec::new();
    let mut ticks = tokio::time::interval(REFRESH_PERIOD);
    loop {
        ticks.tick().await;
        let snapshot = Arc::clone(&snapshots.borrow());
        let rows: Vec<_> = stage.targets.iter().map(|t| Row::new(t, &snapshot)).collect();
        if let Some(painter) = &painter {
            painter.paint(picture(&rows, &shown, &footer(&stage.traffic, has_keys)));
        } else {
            let text = changes(&rows, &shown);
            // Nobody looks any more: no reason to end.
            let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
        }
        shown = rows;
    }
}

/// A table of no more than 79 columns, so that the smallest usual terminal holds it.
fn picture(rows: &[Row], last: &[Row], footer: &str) -> String {
    let mut text =
        "  key  target             process  state      connections  requests\n".to_owned();
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
            "   {}   {:<17}  {process:<7}  {colour}{:<9}\x1b[0m  {:>11}  {:>8}  {bar}",
            row.number,
            row.address,
            row.state(),
            row.connections,
            row.requests,
        );
    }
    text.push_str(footer);
    text
}

fn footer(traffic: &Traffic, has_keys: bool) -> String {
    let state = if traffic.is_running() { "on" } else { "off" };
    let (broken, turned_away) = (traffic.broken(), traffic.turned_away());
    let help = if has_keys { "1-4 kill/revive   t traffic   q quit" } else { "Ctrl-C ends it" };
    format!(
        "  traffic {state:<3}   broken connections: {broken}   turned away: {turned_away}\n  {help}\n"
    )
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

    /// Columns of the longest line, colours apart.
    fn width(text: &str) -> usize {
        let plain = |line: &str| {
            let mut pieces = line.split("\x1b[");
            let first = pieces.next().map_or(0, |piece| piece.chars().count());
            first
                + pieces
                    .map(|piece| piece.split_once('m').map_or(0, |p| p.1.chars().count()))
                    .sum::<usize>()
        };
        text.lines().map(plain).max().unwrap_or_default()
    }

    #[test]
    fn every_line_fits_into_79_columns() {
        let last = [Row { address: "127.0.0.11:30080".to_owned(), ..row(1, 0) }];
        let now =
            [Row { requests: 99_999_999, connections: u64::from(u32::MAX), ..last[0].clone() }];
        let traffic = Traffic::new("127.0.0.1:8080".parse().unwrap());
        for has_keys in [false, true] {
            let footer = footer(&traffic, has_keys);
            assert_eq!(footer.lines().count(), 2);
            let picture = picture(&now, &last, &footer);
            assert!(picture.contains("■"), "{picture}");
            assert!(width(&picture) <= 79, "{picture}");
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
