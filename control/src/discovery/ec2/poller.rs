mod thread;
mod thread_priority;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::Target;
use tokio::time::timeout;

use super::client::{Access, Client};
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::poll::Found;
use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::ec2::timeouts::Timeouts;
use crate::threads::background::Priority;
use crate::threads::guard;
use thread::Thread;
use thread_priority::ThreadPriority;

/// Asks AWS, on threads of its own: what it says about 1,000 instances takes tens of milliseconds
/// to be parsed, in one go, and neither health checks nor clients are to wait for that. Nor is a panic
/// of the SDK to end more than what was asked.
#[derive(Debug)]
pub(super) struct Poller {
    settings: Arc<AwsSettings>,
    /// One for all threads: they share the credentials. None where they are to be looked for anew.
    access: Option<Access>,
    /// None once AWS has answered; before, how many refreshes ran out of time.
    expired: Option<u32>,
    thread_priority: ThreadPriority,
    /// Kept for good: there may be no other to be had when it is needed.
    ordinary: Option<Thread>,
    idle: Option<Thread>,
    /// Whether it was told that there is no thread to be had.
    is_told: bool,
}

impl Poller {
    /// Nothing is asked yet.
    pub(super) async fn new(settings: AwsSettings) -> Self {
        // Where it cannot be started, that is tried again when it is needed.
        let ordinary = Thread::start(Priority::Ordinary).await.ok();
        Self {
            settings: Arc::new(settings),
            access: None,
            expired: Some(0),
            thread_priority: ThreadPriority::default(),
            ordinary,
            idle: None,
            is_told: false,
        }
    }

    /// Asks once for everything; what does not get done below all others is done again like all
    /// other work. The thread may not get to it, so its time is taken here. `in_use` are the targets
    /// that are confirmed.
    ///
    /// # Errors
    /// Why nothing could be found out, and what to do about it.
    pub(super) async fn refresh(&mut self, in_use: Vec<Target>) -> Result<Found, Fault> {
        let in_use: Arc<[Target]> = in_use.into();
        let (began, limit) = (Instant::now(), self.timeouts().refresh);
        let mut priority = self.thread_priority.next();
        let part = if priority == Priority::Idle { limit / 3 } else { limit };
        let mut refreshed = self.ask(priority, part, &in_use).await;
        if let Err(fault) = &refreshed
            && priority == Priority::Idle
            && may_be_for_want_of_a_cpu(fault.kind)
        {
            priority = Priority::Ordinary;
            refreshed = self.ask(priority, limit.saturating_sub(began.elapsed()), &in_use).await;
            if refreshed.is_ok() {
                let count = self.thread_priority.starved();
                log::info!(
                    "AWS answers, but not in time when it is asked below all other threads: for \
                     {count} refreshes it is asked like all else is done"
                );
            }
        }
        self.thread_priority.ended(priority, refreshed.is_ok());
        match &refreshed {
            Ok(_) => self.expired = None,
            Err(fault) if fault.kind == FaultKind::Timeout => {
                self.expired = self.expired.map(|count| count.saturating_add(1));
            }
            // What was written into files since is in a new one only.
            Err(fault) if fault.kind == FaultKind::NoCredentials => self.forget_access(),
            Err(_) => (),
        }
        refreshed
    }

    fn timeouts(&self) -> Timeouts {
        let period = self.settings.period;
        self.expired.map_or(Timeouts::new(period), |count| Timeouts::unanswered(period, count))
    }

    fn forget_access(&mut self) {
        let threads = [&mut self.ordinary, &mut self.idle].into_iter().flatten();
        let clients: Vec<_> = threads.map(|thread| thread.client.take()).collect();
        let old = (self.access.take(), clients);
        // What a panic has left half changed may not bear to be dropped.
        drop(guard::call(|| drop(old)));
    }

    async fn ask(
        &mut self,
        priority: Priority,
        limit: Duration,
        in_use: &Arc<[Target]>,
    ) -> Result<Found, Fault> {
        let refreshed = timeout(limit, self.ask_at(priority, in_use)).await;
        // The limit of the whole is what somebody can change.
        let Timeouts { is_answered, refresh, .. } = self.timeouts();
        refreshed.unwrap_or_else(|_| Err(Fault::too_late(is_answered, refresh, &self.settings)))
    }

    async fn ask_at(&mut self, priority: Priority, in_use: &Arc<[Target]>) -> Result<Found, Fault> {
        let asked = self.ask_guarded(priority, in_use).await;
        asked.unwrap_or_else(|failure| {
            let fault = match failure {
                // It may have left anything half changed.
                PollFailure::Panic(panicked) => {
                    self.forget_access();
                    Fault::panicked(&panicked, &self.settings)
                }
                PollFailure::NoThread(error) => Fault::no_thread(&error, &self.settings),
            };
            Err(fault)
        })
    }

    async fn ask_guarded(
        &mut self,
        priority: Priority,
        in_use: &Arc<[Target]>,
    ) -> Result<Result<Found, Fault>, PollFailure> {
        let timeouts = self.timeouts();
        self.ready_thread(priority).await?;
        let access = match &mut self.access {
            Some(access) => access,
            none => none.insert(Access::find(&self.settings).await?),
        };
        // The idle one, unless there is none.
        let thread = self.idle.as_mut().or(self.ordinary.as_mut()).expect("one is ready");
        let client = match thread.client.take().filter(|client| client.timeouts == timeouts) {
            Some(client) => client,
            None => Arc::new(guard::call(|| Client::new(access, &self.settings, timeouts))?),
        };
        thread.client = Some(Arc::clone(&client));
        Ok(thread.ask(client, Arc::clone(in_use)).await?)
    }

    /// Has the idle thread there if that is to ask and can be started, and else only the ordinary one:
    /// a thread's priority cannot be raised.
    async fn ready_thread(&mut self, priority: Priority) -> Result<(), io::Error> {
        let is_idle = priority == Priority::Idle;
        self.idle = self.idle.take().filter(|thread| is_idle && thread.lives());
        self.ordinary = self.ordinary.take().filter(Thread::lives);
        if is_idle && self.idle.is_none() {
            match Thread::start(priority).await {
                Ok(thread) => {
                    self.is_told = false;
                    self.idle = Some(thread);
                }
                Err(error) => {
                    let level = if self.is_told { log::Level::Debug } else { log::Level::Warn };
                    log::log!(
                        level,
                        "AWS is asked like all else is done, without a thread below: {error}"
                    );
                    self.is_told = true;
                }
            }
        }
        if self.idle.is_none() && self.ordinary.is_none() {
            self.ordinary = Some(Thread::start(Priority::Ordinary).await?);
        }
        Ok(())
    }
}

/// Why AWS was not asked, or not to the end.
enum PollFailure {
    Panic(guard::Panicked),
    NoThread(io::Error),
}

impl From<guard::Panicked> for PollFailure {
    fn from(panicked: guard::Panicked) -> Self {
        Self::Panic(panicked)
    }
}

impl From<io::Error> for PollFailure {
    fn from(error: io::Error) -> Self {
        Self::NoThread(error)
    }
}

/// What a thread that gets no CPU may end with, too.
fn may_be_for_want_of_a_cpu(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Timeout | FaultKind::NoCredentials | FaultKind::Unreachable)
}
