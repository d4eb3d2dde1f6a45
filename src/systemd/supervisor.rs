//! What a service manager hears of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use control::status::Statuses;
use exchange::CoreCounters;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;

use super::heartbeat::{Heartbeat, Sign};
use super::notifier::{Notice, Notifier};
use super::status;
use super::supervision::Supervision;

/// A manager hears that the start is over after this time at the latest, and how things are: it would
/// end a process that takes long (90 s is systemd's `DefaultTimeoutStartSec`), and help nobody.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Signs of life come no faster, whatever the manager asks for.
const PERIOD_MIN: Duration = Duration::from_millis(10);
/// A manager that has too much to read is told again after so long.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// A core that seems to stand still is looked at again so soon: turns come as often.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Tells the manager, if there is one, what becomes of clients, when the end begins, and that all is
/// well as long as it is.
#[derive(Debug)]
pub(crate) struct Supervisor {
    notifier: Option<Arc<Notifier>>,
    tells_status: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Begins to tell, by the latest snapshot and whether clients can connect. Must be called inside
    /// a runtime: that of the control plane, so that the signs of life end if that hangs.
    pub(crate) fn start(
        supervision: &Supervision,
        statuses: watch::Receiver<Statuses>,
        is_listening: watch::Receiver<bool>,
        counters: Arc<[CoreCounters]>,
    ) -> Self {
        let notifier = supervision.notify.as_ref().and_then(Notifier::to).map(Arc::new);
        let Some(notifier) = notifier else { return Self { notifier: None, tells_status: None } };
        let tells = Arc::clone(&notifier);
        let status =
            tell_status(statuses, is_listening, READY_WITHIN, move |notice| tells.tell(notice));
        let tells_status = Some(tokio::spawn(status));
        if let Some(watchdog) = supervision.watchdog {
            let period = (watchdog / 2).max(PERIOD_MIN);
            tokio::spawn(keep_telling(Arc::clone(&notifier), period, counters));
        }
        Self { notifier: Some(notifier), tells_status }
    }

    /// The graceful end begins, and is over `within` this time.
    pub(crate) fn stopping(&self, within: Duration) {
        if let Some(tells_status) = &self.tells_status {
            tells_status.abort();
        }
        if let Some(notifier) = &self.notifier {
            notifier.tell(&Notice::Stopping(within));
        }
    }
}

/// Tells what becomes of clients whenever that changes. That the start is over it tells once clients
/// are let in, after `ready_within` at the latest. What could not be told is told again.
async fn tell_status(
    mut statuses: watch::Receiver<Statuses>,
    mut is_listening: watch::Receiver<bool>,
    ready_within: Duration,
    tell: impl Fn(&Notice) -> bool,
) {
    let due = tokio::time::Instant::now() + ready_within;
    let mut is_ready = false;
    let mut told = None;
    loop {
        let listens = *is_listening.borrow_and_update();
        let latest = statuses.borrow_and_update().clone();
        let line = status::line(&latest, listens);
        let is_over = listens && status::are_let_in(&latest) || tokio::time::Instant::now() >= due;
        let becomes_ready = is_over && !is_ready;
        let notice =
            if becomes_ready { Notice::Ready(line.clone()) } else { Notice::Status(line.clone()) };
        if becomes_ready || told.as_ref() != Some(&line) {
            if !tell(&notice) {
                tokio::time::sleep(TELL_AGAIN).await;
                continue;
            }
            (is_ready, told) = (is_ready || is_over, Some(line));
        }
        // The senders are there as long as the process.
        tokio::select! {
            _ = statuses.changed() => {}
            _ = is_listening.changed() => {}
            () = sleep_until(due), if !is_ready => {}
        }
    }
}

/// Tells that all is well, every `period`, while every core's loop turns. One that does not is looked
/// at again and again: all of the process may have stood still, and a core turn a moment later.
async fn keep_telling(notifier: Arc<Notifier>, period: Duration, counters: Arc<[CoreCounters]>) {
    let mut heartbeat = Heartbeat::new(counters.len(), Instant::now());
    let mut looks_in_vain = 0_u32;
    loop {
        let signs = counters
            .iter()
            .map(|core| Sign { turns: core.iterations.get(), has_ended: core.ended.get() != 0 });
        let Some(core) = heartbeat.missing(signs, Instant::now()) else {
            looks_in_vain = 0;
            let is_heard = notifier.tell(&Notice::Alive);
            tokio::time::sleep(if is_heard { period } else { period.min(TELL_AGAIN) }).await;
            continue;
        };
        looks_in_vain = looks_in_vain.saturating_add(1);
        if looks_in_vain == 2 {
            log::error!("core {core} stands still: the service manager gets no sign of life");
        }
        tokio::time::sleep(period.min(LOOK_AGAIN)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use control::status::{Condition, ServiceStatus, Status};
    use exchange::{Eligibility, Entry, Routing, Target, TargetCounters};

    use super::*;

    fn with_target(is_eligible: bool) -> Statuses {
        let target = Arc::new(Target::at(([10, 0, 0, 1], 80).into()));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        let eligibility = if is_eligible { Eligibility::Full } else { Eligibility::None };
        let entries = vec![entry.with_eligibility(eligibility)];
        status_of(Routing::to(entries).with_admits(is_eligible))
    }

    fn status_of(routing: Routing) -> Statuses {
        let conditions = vec![Condition::default(); routing.entries().len()];
        let status = Status::new(Arc::new(routing.into()), false, conditions, Vec::new());
        Statuses::of(vec![ServiceStatus { port: None, status: Arc::new(status) }])
    }

    /// What is told after each of the changes that are made.
    struct Told {
        statuses: watch::Sender<Statuses>,
        is_listening: watch::Sender<bool>,
        notices: mpsc::Receiver<Notice>,
    }

    impl Told {
        fn start(is_listening: bool, ready_within: Duration) -> Self {
            let (statuses, latest) = watch::channel(status_of(Routing::default()));
            let (is_listening, listens) = watch::channel(is_listening);
            let (teller, notices) = mpsc::channel();
            let tell = move |notice: &Notice| teller.send(notice.clone()).is_ok();
            tokio::spawn(tell_status(latest, listens, ready_within, tell));
            Self { statuses, is_listening, notices }
        }

        async fn next(&self) -> Notice {
            let began = Instant::now();
            loop {
                if let Ok(notice) = self.notices.try_recv() {
                    return notice;
                }
                assert!(began.elapsed() < Duration::from_secs(20), "nothing is told");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }

        async fn nothing(&self) {
            // All that can run has run then: the runtime has one thread.
            tokio::task::yield_now().await;
            assert_eq!(self.notices.try_recv(), Err(mpsc::TryRecvError::Empty));
        }
    }

    const LONG: Duration = Duration::from_hours(1);

    fn status(text: &str) -> Notice {
        Notice::Status(text.to_owned())
    }

    #[tokio::test]
    async fn the_start_is_over_when_clients_are_let_in() {
        let told = Told::start(true, LONG);
        assert_eq!(
            told.next().await,
            status("Waiting for discovery: clients wait in the listen queue")
        );
        told.statuses.send_replace(with_target(false));
        assert_eq!(
            told.next().await,
            status("Waiting for the first health checks: clients wait in the listen queue")
        );
        told.statuses.send_replace(with_target(true));
        let served = "Clients are served by 1 target";
        assert_eq!(told.next().await, Notice::Ready(served.to_owned()));
        told.statuses.send_replace(with_target(true));
        told.nothing().await;
        told.statuses.send_replace(status_of(Routing::default().with_admits(true)));
        assert_eq!(told.next().await, status("There is no target: clients are turned away"));
        told.statuses.send_replace(with_target(true));
        assert_eq!(told.next().await, status(served));
    }

    #[tokio::test]
    async fn who_does_not_listen_yet_is_not_ready() {
        let told = Told::start(false, LONG);
        assert_eq!(told.next().await, status("Waiting for discovery: not listening yet"));
        told.statuses.send_replace(status_of(Routing::default().with_admits(true)));
        assert_eq!(told.next().await, status("There is no target: not listening yet"));
        told.is_listening.send_replace(true);
        told.statuses.send_replace(with_target(true));
        let served = "Clients are served by 1 target".to_owned();
        assert_eq!(told.next().await, Notice::Ready(served));
    }

    #[tokio::test]
    async fn a_start_that_takes_long_is_over_all_the_same_and_the_status_says_how_it_is() {
        let told = Told::start(true, Duration::from_millis(20));
        let waiting = "Waiting for discovery: clients wait in the listen queue";
        assert_eq!(told.next().await, status(waiting));
        assert_eq!(told.next().await, Notice::Ready(waiting.to_owned()));
        told.statuses.send_replace(with_target(true));
        assert_eq!(told.next().await, status("Clients are served by 1 target"));
    }
}
