use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
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

/// What went wrong for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mishap {
    /// Its connection broke after this target had answered on it.
    Broken(usize),
    /// Its connection ended before any answer.
    Unanswered,
    /// It could not connect to the balancer.
    NotConnected,
    /// There was no answer in time.
    Late,
}

/// A handful of polite clients, for those who have no second terminal at hand.
#[derive(Debug)]
pub(super) struct Traffic {
    balancer: SocketAddr,
    running: watch::Sender<bool>,
    /// The clients do not come back, whoever asks for them.
    has_ended: AtomicBool,
    broken: AtomicU64,
    turned_away: AtomicU64,
    /// What went wrong since somebody asked, and how often.
    mishaps: Mutex<BTreeMap<Mishap, u64>>,
}

impl Traffic {
    /// Clients of `balancer`, at rest.
    pub(super) fn new(balancer: SocketAddr) -> Self {
        Self {
            balancer,
            running: watch::Sender::new(false),
            has_ended: AtomicBool::new(false),
            broken: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            mishaps: Mutex::default(),
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

    /// What has gone wrong since the last call, and how often.
    pub(super) fn take_mishaps(&self) -> BTreeMap<Mishap, u64> {
        std::mem::take(&mut *self.mishaps.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts the clients or stops them; whether they are at work now.
    pub(super) fn toggle(&self) -> bool {
        self.running.send_modify(|running| *running = !*running && !self.has_ended.load(Relaxed));
        self.is_running()
    }

    /// Lets the clients finish what they are about, and sends none any more: the balancer is about
    /// to end.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Relaxed);
        self.running.send_replace(false);
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
            let pause = match self.connection(&running).await {
                Ok(()) => THINK_TIME,
                Err(mishap) => {
                    self.count(mishap);
                    FAILURE_PAUSE
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn count(&self, mishap: Mishap) {
        let is_broken = matches!(mishap, Mishap::Broken(_));
        let count = if is_broken { &self.broken } else { &self.turned_away };
        count.fetch_add(1, Relaxed);
        let mut mishaps = self.mishaps.lock().unwrap_or_else(PoisonError::into_inner);
        *mishaps.entry(mishap).or_default() += 1;
    }

    async fn connection(&self, running: &watch::Receiver<bool>) -> Result<(), Mishap> {
        let connected = within(TcpStream::connect(self.balancer)).await;
        let mut stream = connected.map_err(|error| match error.kind() {
            // It was accepted, and reset before this was noticed.
            io::ErrorKind::ConnectionReset => Mishap::Unanswered,
            _ => Mishap::NotConnected,
        })?;
        let mut target = None;
        for _ in 0..REQUESTS_PER_CONNECTION {
            if !*running.borrow() {
                break;
            }
            match within(ask(&mut stream)).await {
                Ok(number) => target = number,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(Mishap::Late),
                Err(_) => return Err(target.map_or(Mishap::Unanswered, Mishap::Broken)),
            }
            tokio::time::sleep(THINK_TIME).await;
        }
        Ok(())
    }
}

/// Sends a request; the number of the target that has answered.
async fn ask(stream: &mut TcpStream) -> io::Result<Option<usize>> {
    stream.write_all(REQUEST).await?;
    let mut answer = [0; 1024];
    // The targets' answers are so short that they come in one piece.
    let bytes = stream.read(&mut answer).await?;
    if bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let answer = String::from_utf8_lossy(&answer[..bytes]);
    let number = answer.split_once("target ").and_then(|(_, rest)| rest.split(' ').next());
    Ok(number.and_then(|number| number.parse().ok()))
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(ANSWER_TIMEOUT, work).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}
