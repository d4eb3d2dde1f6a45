use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many clients at once.
const CLIENTS: usize = 12;

/// Requests on one connection before the client leaves and comes again.
const REQUESTS_PER_CONNECTION: usize = 20;

/// Between two requests of a client.
const THINK_TIME: Duration = Duration::from_millis(25);

/// After a connection that failed: a client that comes again at once only counts failures.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// No answer by then is a failure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n";

/// A handful of polite clients, for those who have no second terminal at hand.
#[derive(Debug)]
pub(super) struct Traffic {
    balancer: SocketAddr,
    running: watch::Sender<bool>,
    broken: AtomicU64,
    turned_away: AtomicU64,
}

impl Traffic {
    /// Clients of `balancer`, at rest.
    pub(super) fn new(balancer: SocketAddr) -> Self {
        Self {
            balancer,
            running: watch::Sender::new(false),
            broken: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }

    /// Whether the clients are at work.
    pub(super) fn is_running(&self) -> bool {
        *self.running.borrow()
    }

    /// Connections that broke after their first answer.
    pub(super) fn broken(&self) -> u64 {
        self.broken.load(Relaxed)
    }

    /// Connections that ended without an answer, or were never made.
    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away.load(Relaxed)
    }

    /// Starts the clients or stops them; whether they are at work now.
    pub(super) fn toggle(&self) -> bool {
        self.running.send_modify(|running| *running = !*running);
        self.is_running()
    }

    /// Never returns.
    pub(super) async fn run(self: Arc<Self>) {
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(Arc::clone(&self).client());
        }
        while clients.join_next().await.is_some() {}
    }

    async fn client(self: Arc<Self>) {
        let mut running = self.running.subscribe();
        loop {
            // An error would mean that the sender is gone, but `self` holds it.
            let _ = running.wait_for(|running| *running).await;
            let mut answers = 0;
            let pause = if self.connection(&running, &mut answers).await.is_ok() {
                THINK_TIME
            } else {
                let count = if answers > 0 { &self.broken } else { &self.turned_away };
                count.fetch_add(1, Relaxed);
                FAILURE_PAUSE
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn connection(
        &self,
        running: &watch::Receiver<bool>,
        answers: &mut usize,
    ) -> io::Result<()> {
        let mut stream = within(TcpStream::connect(self.balancer)).await?;
        stream.set_nodelay(true)?;
        let mut answer = [0; 1024];
        for _ in 0..REQUESTS_PER_CONNECTION {
            if !*running.borrow() {
                break;
            }
            stream.write_all(REQUEST).await?;
            // The targets' answers are so short that they come in one piece.
            if within(stream.read(&mut answer)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *answers += 1;
            tokio::time::sleep(THINK_TIME).await;
        }
        Ok(())
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, work).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
