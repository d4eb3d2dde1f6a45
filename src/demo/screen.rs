//! What the demo shows: one line for each target.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use control::status::{Statuses, TargetState, TargetStatus};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::narrator::{Narrator, Seen};
use super::painter::{Painter, say};
use super::stage::Stage;
use super::target::Target;
use super::traffic::Traffic;

/// Between two looks at the counters.
const REFRESH_PERIOD: Duration = Duration::from_millis(500);

/// How long the bar of a target is that gets all requests: it ends in column 79.
const BAR_CHARS: u64 = 10;

/// One target as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct TargetRow {
    number: usize,
    address: String,
    alive: bool,
    state: Option<TargetState>,
    connections: u64,
    requests: u64,
}

impl TargetRow {
    fn new(target: &Target, statuses: &Statuses) -> Self {
        let mut known = statuses.iter().flat_map(|status| status.targets());
        let seen = known.find(|it| it.target().address == target.address);
        Self {
            number: target.number,
            address: target.address.to_string(),
            alive: target.is_alive(),
            state: seen.map(TargetStatus::state),
            connections: seen.map_or(0, |seen| seen.counters().active()),
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
    mut statuses: watch::Receiver<Statuses>,
    painter: Option<Arc<Painter>>,
    has_keys: bool,
) {
    let mut narrator = Narrator::default();
    // As of the last look and of the one before it.
    let (mut shown, mut before): (Vec<TargetRow>, Vec<TargetRow>) = Default::default();
    let mut ticks = tokio::time::interval(REFRESH_PERIOD);
    let mut resizes = signal(SignalKind::window_change()).ok();
    loop {
        let is_tick = tokio::select! {
            _ = ticks.tick() => true,
            changed = statuses.changed() => {
                // Never without them: the control plane lives as long as this runtime.
                changed.is_err()
            }
            () = resized(&mut resizes) => false,
        };
        let latest = statuses.borrow_and_update().clone();
        let rows: Vec<_> = stage.targets.iter().map(|t| TargetRow::new(t, &latest)).collect();
        narrate(&mut narrator, &rows, &stage.traffic);
        if is_tick {
            before = std::mem::replace(&mut shown, rows.clone());
        }
        if let Some(painter) = &painter {
            painter.paint(picture(&rows, &before, &footer(&stage, has_keys)));
        } else if is_tick {
            say(&changes(&rows, &before));
        }
    }
}

/// Waits until the terminal has another size.
async fn resized(resizes: &mut Option<Signal>) {
    match resizes {
        Some(resizes) => drop(resizes.recv().await),
        None => std::future::pending().await,
    }
}

fn narrate(narrator: &mut Narrator, rows: &[TargetRow], traffic: &Traffic) {
    let seen = |row: &TargetRow| Seen { number: row.number, is_alive: row.alive, state: row.state };
    let seen: Vec<_> = rows.iter().map(seen).collect();
    let mut lines = narrator.states(&seen);
    lines.extend(narrator.mishaps(Instant::now(), traffic.take_mishaps(), &seen));
    for line in lines {
        log::info!(target: "demo", "{line}");
    }
}

/// How it was in all.
pub(super) fn totals(stage: &Stage) -> String {
    let requests: Vec<_> = stage.targets.iter().map(|it| (it.number, it.requests())).collect();
    let all: u64 = requests.iter().map(|(_, requests)| requests).sum();
    let each: Vec<_> = requests.iter().map(|(n, requests)| format!("{n}: {requests}")).collect();
    format!(
        "in all: {all} requests (target {})\nbroken connections: {}   turned away: {}\n",
        each.join(", "),
        stage.traffic.broken(),
        stage.traffic.turned_away()
    )
}

/// A table of no more than 79 columns, so that the smallest usual terminal holds it.
fn picture(rows: &[TargetRow], last: &[TargetRow], footer: &str) -> String {
    let mut text =
        "  key  target             process  state      connections  requests\n".to_owned();
    let since = |row: &TargetRow| {
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
        // Blanks at its end are none of the line.
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text.push_str(footer);
    text
}

fn footer(stage: &Stage, has_keys: bool) -> String {
    let traffic = &stage.traffic;
    let running = if traffic.is_running() { "on" } else { "off" };
    let (broken, turned_away) = (traffic.broken(), traffic.turned_away());
    let help = match has_keys {
        true if stage.is_choosing.load(Relaxed) => "1-4 drain/undrain that target",
        true => "1-4 kill/revive   d drain/undrain   t traffic   q quit",
        false => "Ctrl-C ends it",
    };
    format!(
        "  traffic {running:<3}   broken connections: {broken}   turned away: {turned_away}\n  {help}\n"
    )
}

/// One line for each target that is not as it was.
fn changes(rows: &[TargetRow], last: &[TargetRow]) -> String {
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
    use std::sync::atomic::AtomicBool;

    use super::super::canvas::width;
    use super::*;

    fn row(number: usize, requests: u64) -> TargetRow {
        TargetRow {
            number,
            address: format!("127.0.0.1{number}:80"),
            alive: true,
            state: Some(TargetState::Healthy),
            connections: 0,
            requests,
        }
    }

    fn stage() -> Stage {
        let targets =
            (1..=2).map(|number| Arc::new(Target::new(number, ([127, 0, 0, 10], 80).into())));
        Stage {
            targets: targets.collect(),
            traffic: Arc::new(Traffic::new("127.0.0.1:8080".parse().unwrap())),
            admin: None,
            is_choosing: AtomicBool::new(false),
        }
    }

    #[test]
    fn it_ends_with_totals() {
        let expected =
            "in all: 0 requests (target 1: 0, 2: 0)\nbroken connections: 0   turned away: 0\n";
        assert_eq!(totals(&stage()), expected);
    }

    #[test]
    fn every_line_fits_into_79_columns() {
        let last = [TargetRow { address: "127.0.0.11:30080".to_owned(), ..row(1, 0) }];
        let now = [TargetRow {
            requests: 99_999_999,
            connections: u64::from(u32::MAX),
            ..last[0].clone()
        }];
        for (has_keys, is_choosing) in [(false, false), (true, false), (true, true)] {
            let stage = stage();
            stage.is_choosing.store(is_choosing, Relaxed);
            let footer = footer(&stage, has_keys);
            assert_eq!(footer.lines().count(), 2);
            let picture = picture(&now, &last, &footer);
            assert!(picture.contains("■"), "{picture}");
            assert!(picture.lines().all(|line| width(line) <= 79), "{picture}");
            // What a terminal takes for part of a line, when it wraps all anew.
            assert!(picture.lines().all(|line| line.trim_end() == line), "{picture}");
        }
    }

    #[test]
    fn only_changed_targets_are_printed() {
        let last = [row(1, 0), row(2, 0)];
        assert_eq!(changes(&last, &last), "");
        let now = [row(1, 0), TargetRow { alive: false, ..row(2, 5) }];
        let line = "target 2 127.0.0.12:80 (killed) healthy connections=0 requests=5\n";
        assert_eq!(changes(&now, &last), line);
    }
}
