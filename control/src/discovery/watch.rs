use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use exchange::Target;
use tokio::sync::{Notify, mpsc};

use super::file::{self, FileError};
use super::settings::FileSettings;
use crate::controller::event::Event;
use crate::log_lines::escaped::Escaped;
use crate::metrics::Metrics;

/// How often the file's metadata is looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Sends the file's targets to the controller: at once, when the file has changed, when `refresh`
/// says so, and every `period` whatever its metadata says (a write can fall into the tick of the one before it).
pub(super) async fn run(
    settings: FileSettings,
    period: Duration,
    refresh: &Notify,
    metrics: &Metrics,
    events: &mpsc::Sender<Event>,
) {
    let mut watch = Watch { settings, seen: None, read_at: None };
    let mut problem = FileProblem::of(&watch.settings.path);
    let mut is_asked_for = false;
    loop {
        // File systems can hang: never on the thread that runs everything else.
        let look = tokio::task::spawn_blocking(move || watch.look(period));
        let Ok((returned, outcome)) = look.await else { return };
        watch = returned;
        if let Some(outcome) = outcome {
            if let Some(line) = problem.follow(&outcome, is_asked_for) {
                log::log!(
                    if outcome.is_ok() { log::Level::Info } else { log::Level::Warn },
                    "{line}"
                );
            }
            match outcome {
                Ok(targets) => {
                    metrics.discovered();
                    if events.send(Event::Discovered(targets)).await.is_err() {
                        return;
                    }
                }
                Err(error) => metrics.discovery_failed(error.kind()),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_PERIOD.min(period)) => is_asked_for = false,
            () = refresh.notified() => {
                watch.read_at = None;
                is_asked_for = true;
            }
        }
    }
}

type ReadTargets = Result<Vec<Target>, FileError>;

/// Knows when the file has to be read.
struct Watch {
    settings: FileSettings,
    /// What the file looked like before it was last read; none while it could not be looked at.
    seen: Option<Signature>,
    read_at: Option<Instant>,
}

impl Watch {
    /// Reads the file if it has changed or was not read for `period`.
    fn look(mut self, period: Duration) -> (Self, Option<ReadTargets>) {
        let signature = Signature::of(&self.settings);
        let due = self.read_at.is_none_or(|at| at.elapsed() >= period);
        if !due && signature == self.seen {
            return (self, None);
        }
        self.seen = signature;
        self.read_at = Some(Instant::now());
        let outcome = file::read(&self.settings);
        (self, Some(outcome))
    }
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Signature {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Signature {
    fn of(settings: &FileSettings) -> Option<Self> {
        let metadata = fs::metadata(&settings.path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The problem that was last told, so that it is told once.
struct FileProblem {
    /// The file's name, as it may be told.
    path: String,
    told: Option<String>,
}

impl FileProblem {
    fn of(path: &Path) -> Self {
        Self { path: Escaped(&path.to_string_lossy()).to_string(), told: None }
    }

    /// The line to log about `outcome`: if it is news, or if somebody asked.
    fn follow(&mut self, outcome: &ReadTargets, is_asked_for: bool) -> Option<String> {
        match outcome {
            Ok(targets) => {
                let was_told = self.told.take().is_some();
                let is = if was_told { "good again" } else { "good" };
                let count = match targets.len() {
                    1 => "1 target".to_owned(),
                    count => format!("{count} targets"),
                };
                let line = format!("target file {} is {is}: {count}", self.path);
                (was_told || is_asked_for).then_some(line)
            }
            Err(error) => {
                let problem = error.to_string();
                let is_news = self.told.as_ref() != Some(&problem);
                let still = if is_news { "" } else { "still " };
                let line = format!(
                    "target file {} {still}{problem}; the last good targets stay in use",
                    self.path
                );
                self.told = Some(problem);
                (is_news || is_asked_for).then_some(line)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::scratch::Scratch;

    const LONG: Duration = Duration::from_hours(1);

    fn watch(scratch: &Scratch) -> Watch {
        let settings = FileSettings {
            path: scratch.path("targets"),
            default_port: 80,
            is_port_given: false,
            own_address: "0.0.0.0:8080".parse().unwrap(),
        };
        Watch { settings, seen: None, read_at: None }
    }

    #[test]
    fn reads_when_changed_and_only_then() {
        let scratch = Scratch::new();
        scratch.write("targets", "[]");
        let (watch, outcome) = watch(&scratch).look(LONG);
        assert!(outcome.unwrap().unwrap().is_empty());
        let (watch, outcome) = watch.look(LONG);
        assert!(outcome.is_none());

        scratch.write("targets", "[{\"targets\": [\"10.0.0.1\"]}]");
        let (watch, outcome) = watch.look(LONG);
        assert_eq!(outcome.unwrap().unwrap().len(), 1);

        // Replaced by a file of the same length and time.
        let replacement = scratch.write("new", "[{\"targets\": [\"10.0.0.2\"]}]");
        let modified = fs::metadata(&watch.settings.path).unwrap().modified().unwrap();
        fs::File::options().write(true).open(&replacement).unwrap().set_modified(modified).unwrap();
        fs::rename(&replacement, &watch.settings.path).unwrap();
        let (watch, outcome) = watch.look(LONG);
        assert_eq!(outcome.unwrap().unwrap()[0].address, "10.0.0.2:80".parse().unwrap());

        fs::remove_file(&watch.settings.path).unwrap();
        let (watch, outcome) = watch.look(LONG);
        assert_eq!(outcome.unwrap().unwrap_err().kind(), "unreadable");
        let (_, outcome) = watch.look(LONG);
        assert!(outcome.is_none());
    }

    #[test]
    fn reads_unchanged_files_each_period() {
        let scratch = Scratch::new();
        scratch.write("targets", "[]");
        let (watch, _) = watch(&scratch).look(LONG);
        let (watch, outcome) = watch.look(Duration::ZERO);
        assert!(outcome.is_some());
        assert!(watch.look(LONG).1.is_none());
    }

    #[test]
    fn a_problem_is_told_once_and_its_end_once() {
        let invalid = |reason: &str| Err(FileError::Invalid(reason.to_owned()));
        let mut problem = FileProblem::of(Path::new("/t"));
        let mut follow = |outcome| problem.follow(&outcome, false);
        assert_eq!(follow(Ok(vec![])), None);
        assert!(follow(invalid("a")).unwrap().contains("/t is not valid: a"));
        assert_eq!(follow(invalid("a")), None);
        assert!(follow(invalid("b")).unwrap().contains("/t is not valid: b"));
        assert!(follow(Ok(vec![])).unwrap().contains("/t is good again: 0 targets"));
        assert_eq!(follow(Ok(vec![])), None);
    }

    #[test]
    fn who_asks_is_told_each_time() {
        let invalid = || Err(FileError::Invalid("a".to_owned()));
        let target = || Target::at(([10, 0, 0, 1], 80).into());
        let mut problem = FileProblem::of(Path::new("/t"));
        let mut ask = |outcome| problem.follow(&outcome, true).unwrap();
        assert_eq!(ask(Ok(vec![target()])), "target file /t is good: 1 target");
        assert_eq!(ask(Ok(vec![target(), target()])), "target file /t is good: 2 targets");
        assert!(ask(invalid()).starts_with("target file /t is not valid: a"));
        assert!(ask(invalid()).starts_with("target file /t still is not valid: a"));
        assert_eq!(ask(Ok(vec![])), "target file /t is good again: 0 targets");
        assert_eq!(ask(Ok(vec![])), "target file /t is good: 0 targets");
    }
}
