use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::client::{self, Client};
use super::standing::Standing;
use super::{AwsSettings, Fault, FaultKind, Found, Timeouts};
use crate::background::{self, Priority};

/// Asks AWS, on a thread of its own: what it says about 1,000 instances takes tens of milliseconds
/// to be parsed, in one go, and neither health checks nor clients are to wait for that.
#[derive(Debug)]
pub(super) struct Surveyor {
    settings: Arc<AwsSettings>,
    /// One for all threads: they share the credentials.
    config: SdkConfig,
    region: String,
    standing: Standing,
    thread: Option<Thread>,
    /// Whether it was told that there is no thread to be had.
    is_told: bool,
}

/// Ends when it is dropped, with what it was doing.
#[derive(Debug)]
struct Thread {
    requests: mpsc::Sender<Reply>,
    priority: Priority,
}

type Reply = oneshot::Sender<Result<Found, Fault>>;

impl Surveyor {
    /// Nothing is asked yet.
    pub(super) async fn new(settings: AwsSettings, region: String) -> Self {
        let config = client::config(&settings, &region).await;
        Self {
            settings: Arc::new(settings),
            config,
            region,
            standing: Standing::default(),
            thread: None,
            is_told: false,
        }
    }

    /// Asks once for everything; what does not get done below all others is done again like all
    /// other work. The thread may not get to it, so its time is taken here.
    ///
    /// # Errors
    /// Why nothing could be found out, and what to do about it.
    pub(super) async fn refresh(&mut self) -> Result<Found, Fault> {
        let (now, limit) = (Instant::now(), Timeouts::new(self.settings.period).refresh);
        let mut priority = self.standing.next();
        let due = if priority == Priority::Idle { now + limit / 3 } else { now + limit };
        let mut refreshed = self.ask(priority, due).await;
        if let Err(fault) = &refreshed
            && priority == Priority::Idle
            && may_be_for_want_of_a_cpu(fault.kind)
        {
            priority = Priority::Ordinary;
            refreshed = self.ask(priority, now + limit).await;
            if refreshed.is_ok() {
                let count = self.standing.starved();
                log::info!(
                    "AWS answers, but not in time when it is asked below all other threads: for \
                     {count} refreshes it is asked like all else is done"
                );
            }
        }
        self.standing.ended(priority, refreshed.is_ok());
        if matches!(&refreshed, Err(fault) if fault.kind == FaultKind::NoCredentials) {
            self.look_for_credentials_again().await;
        }
        refreshed
    }

    /// A configuration reads files once: what was written into them since is in a new one.
    async fn look_for_credentials_again(&mut self) {
        self.config = client::config(&self.settings, &self.region).await;
        self.thread = None;
    }

    async fn ask(&mut self, priority: Priority, due: Instant) -> Result<Found, Fault> {
        let began = Instant::now();
        let refreshed = timeout_at(due, self.ask_at(priority)).await;
        refreshed.unwrap_or_else(|_| Err(Fault::too_late(due - began, &self.region)))
    }

    /// A thread's priority cannot be raised: each has its own.
    async fn ask_at(&mut self, priority: Priority) -> Result<Found, Fault> {
        let client = || Client::new(&self.config, &self.settings, &self.region);
        let thread = match self.thread.take().filter(|thread| thread.priority == priority) {
            Some(thread) => Ok(thread),
            None => Thread::start(client(), Arc::clone(&self.settings), priority).await,
        };
        match thread {
            Ok(thread) => {
                self.is_told = false;
                self.thread.insert(thread).refresh().await
            }
            Err(error) => {
                let level = if self.is_told { log::Level::Debug } else { log::Level::Warn };
                log::log!(level, "AWS is asked beside health checks, without a thread: {error}");
                self.is_told = true;
                client().refresh(&self.settings).await
            }
        }
    }
}

/// What a thread that gets no CPU may end with, too.
fn may_be_for_want_of_a_cpu(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::Timeout | FaultKind::NoCredentials | FaultKind::Unreachable)
}

impl Thread {
    async fn start(
        client: Client,
        settings: Arc<AwsSettings>,
        priority: Priority,
    ) -> io::Result<Self> {
        let (requests, received) = mpsc::channel(1);
        let (report, started) = oneshot::channel();
        // Made there: here it could not be dropped again, should there be no thread for it.
        let mut builder = Builder::new_current_thread();
        // Names are looked up on blocking threads. One that is there is not to be started again:
        // where that cannot be done, tokio panics.
        builder.enable_all().thread_keep_alive(Duration::MAX);
        let work = move || match builder.build() {
            Ok(runtime) => {
                if report.send(Ok(())).is_ok() {
                    runtime.block_on(serve(client, settings, received));
                }
            }
            // Who started it may have given up.
            Err(error) => drop(report.send(Err(error))),
        };
        background::spawn("discovery", priority, work)?;
        started.await.expect("it reports first of all")?;
        Ok(Self { requests, priority })
    }

    async fn refresh(&self) -> Result<Found, Fault> {
        let (reply, refreshed) = oneshot::channel();
        self.requests.send(reply).await.expect("it receives as long as this is there");
        refreshed.await.expect("it replies as long as somebody waits")
    }
}

async fn serve(client: Client, settings: Arc<AwsSettings>, mut requests: mpsc::Receiver<Reply>) {
    while let Some(mut reply) = requests.recv().await {
        tokio::select! {
            biased;
            () = reply.closed() => {}
            refreshed = client.refresh(&settings) => {
                // Who asked may have given up just now.
                let _ = reply.send(refreshed);
            }
        }
    }
}
