use std::io;
use std::sync::Arc;
use std::time::Duration;

use exchange::Target;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use crate::discovery::ec2::client::Client;
use crate::discovery::ec2::fault::Fault;
use crate::discovery::ec2::poll::Found;
use crate::threads::background::{self, Priority};
use crate::threads::guard::{self, Panicked};
use crate::threads::guarded::Guarded;

/// A thread that asks AWS, with a runtime of its own. It ends when it is dropped, with what it was
/// doing.
#[derive(Debug)]
pub(super) struct Thread {
    /// Its own: the connections of a client belong to the runtime that has made them.
    pub(super) client: Option<Arc<Client>>,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Question {
    client: Arc<Client>,
    in_use: Arc<[Target]>,
    reply: oneshot::Sender<Result<Result<Found, Fault>, Panicked>>,
}

impl Thread {
    /// # Errors
    /// There is no thread to be had, or not what its runtime needs.
    pub(super) async fn start(priority: Priority) -> io::Result<Self> {
        let (questions, received) = mpsc::channel(1);
        let (report, started) = oneshot::channel();
        // Made there: here it could not be dropped again, should there be no thread for it.
        let mut builder = Builder::new_current_thread();
        // Names are looked up on blocking threads. One that is there is not to be started again:
        // where that cannot be done, tokio panics.
        builder.enable_all().thread_keep_alive(Duration::MAX);
        builder.on_thread_start(guard::whole_thread);
        let work = move || {
            // All that runs here is the SDK's, down to the tasks that serve its connections.
            guard::whole_thread();
            match builder.build() {
                Ok(runtime) => {
                    if report.send(Ok(())).is_ok() {
                        runtime.block_on(serve(received));
                    }
                }
                // Who started it may have given up.
                Err(error) => drop(report.send(Err(error))),
            }
        };
        background::spawn("discovery", priority, work)?;
        started.await.map_err(io::Error::other)??;
        Ok(Self { client: None, questions })
    }

    /// Whether it can be asked. What ends one is a panic that nothing could be made of.
    pub(super) fn lives(&self) -> bool {
        !self.questions.is_closed()
    }

    /// # Errors
    /// The SDK panicked.
    pub(super) async fn ask(
        &self,
        client: Arc<Client>,
        in_use: Arc<[Target]>,
    ) -> Result<Result<Found, Fault>, Panicked> {
        let (reply, replied) = oneshot::channel();
        let question = Question { client, in_use, reply };
        if self.questions.send(question).await.is_err() {
            return Err(Panicked::unseen());
        }
        replied.await.unwrap_or_else(|_| Err(Panicked::unseen()))
    }
}

async fn serve(mut questions: mpsc::Receiver<Question>) {
    while let Some(Question { client, in_use, mut reply }) = questions.recv().await {
        tokio::select! {
            biased;
            () = reply.closed() => {}
            refreshed = Guarded::new(client.refresh(&in_use)) => {
                // Who asked may have given up just now.
                let _ = reply.send(refreshed);
            }
        }
    }
}
