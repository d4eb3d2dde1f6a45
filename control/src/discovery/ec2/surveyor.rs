use std::io;
use std::sync::Arc;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::client::Client;
use super::{AwsSettings, Fault, Found, Timeouts};
use crate::background::{self, Priority};

/// Asks AWS, on a thread of its own: what it says about 1,000 instances takes tens of milliseconds
/// to be parsed, in one go, and neither health checks nor clients are to wait for that.
#[derive(Debug)]
pub(super) struct Surveyor {
    settings: Arc<AwsSettings>,
    region: String,
    priority: Priority,
    thread: Option<Thread>,
}

/// Ends when it is dropped, with what it was doing.
#[derive(Debug)]
struct Thread(mpsc::Sender<Reply>);

type Reply = oneshot::Sender<Result<Found, Fault>>;

impl Surveyor {
    /// Nothing is asked yet.
    pub(super) fn new(settings: Arc<AwsSettings>, region: String, priority: Priority) -> Self {
        Self { settings, region, priority, thread: None }
    }

    /// Has the next refresh done at this priority. A thread's own cannot be raised: that takes
    /// another one, with connections and credentials of its own.
    pub(super) fn work_at(&mut self, priority: Priority) {
        if self.priority != priority {
            self.priority = priority;
            self.thread = None;
        }
    }

    /// Asks once for everything. The thread may not get to it, so its time is taken here.
    ///
    /// # Errors
    /// Why nothing could be found out, and what to do about it.
    pub(super) async fn refresh(&mut self) -> Result<Found, Fault> {
        let thread = match self.thread.take() {
            Some(thread) => thread,
            None => Thread::start(&self.settings, &self.region, self.priority)
                .map_err(|error| Fault::no_thread(&error))?,
        };
        let limit = Timeouts::new(self.settings.period).refresh;
        let refreshed = timeout(limit, self.thread.insert(thread).refresh()).await;
        refreshed.unwrap_or_else(|_| Err(Fault::too_late(limit, &self.region)))
    }
}

impl Thread {
    fn start(settings: &Arc<AwsSettings>, region: &str, priority: Priority) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (requests, received) = mpsc::channel(1);
        let work = serve(Arc::clone(settings), region.to_owned(), received);
        background::spawn("discovery", priority, move || runtime.block_on(work))?;
        Ok(Self(requests))
    }

    async fn refresh(&self) -> Result<Found, Fault> {
        let (reply, refreshed) = oneshot::channel();
        self.0.send(reply).await.expect("it receives as long as this is there");
        refreshed.await.expect("it replies as long as somebody waits")
    }
}

async fn serve(settings: Arc<AwsSettings>, region: String, mut requests: mpsc::Receiver<Reply>) {
    let client = Client::new(&settings, region).await;
    while let Some(mut reply) = requests.recv().await {
        tokio::select! {
            () = reply.closed() => {}
            refreshed = client.refresh(&settings) => {
                // Who asked may have given up just now.
                let _ = reply.send(refreshed);
            }
        }
    }
}
