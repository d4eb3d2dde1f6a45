use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::http::{self, Request, Response};

/// Between two tries to listen again after a revival, or to accept for want of descriptors.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// A small server that can be killed and revived.
#[derive(Debug)]
pub(super) struct Target {
    /// Counted from 1.
    pub(super) number: usize,
    /// Where it serves.
    pub(super) address: SocketAddr,
    alive: watch::Sender<bool>,
    requests: AtomicU64,
}

impl Target {
    /// A target that serves once [`Target::run`] is called.
    pub(super) fn new(number: usize, address: SocketAddr) -> Self {
        Self { number, address, alive: watch::Sender::new(true), requests: AtomicU64::new(0) }
    }

    /// Whether it serves, or is about to.
    pub(super) fn is_alive(&self) -> bool {
        *self.alive.borrow()
    }

    /// Requests answered so far, those of health checks apart.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Kills it: its listener and all its connections close. Or revives it.
    pub(super) fn set_alive(&self, alive: bool) {
        self.alive.send_replace(alive);
    }

    /// Serves whenever it is alive, at first on `listener`.
    pub(super) async fn run(self: Arc<Self>, listener: StdTcpListener) {
        let mut alive = self.alive.subscribe();
        let mut first = Some(listener);
        loop {
            // An error would mean that the sender is gone, but `self` holds it.
            let _ = alive.wait_for(|alive| *alive).await;
            let listener = match first.take() {
                Some(listener) => Ok(listener),
                None => StdTcpListener::bind(self.address),
            };
            let listener = listener.and_then(|listener| {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener)
            });
            match listener {
                Ok(listener) => tokio::select! {
                    () = self.serve(&listener) => {}
                    _ = alive.wait_for(|alive| !alive) => {}
                },
                Err(error) => {
                    log::warn!("target {} cannot listen on {}: {error}", self.number, self.address);
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Never returns. When it is cancelled, every connection is cut.
    async fn serve(self: &Arc<Self>, listener: &TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        let target = Arc::clone(self);
                        connections.spawn(async move {
                            // A client that breaks off is no news.
                            let _ = http::serve(stream, |request| target.answer(request)).await;
                        });
                    }
                    Err(_) => tokio::time::sleep(RETRY_DELAY).await,
                },
            }
        }
    }

    fn answer(&self, request: &Request) -> Response {
        if request.path == "/ping" {
            return Response { status: "200 OK", body: "pong\n".to_owned() };
        }
        self.requests.fetch_add(1, Relaxed);
        let body = format!("hello from target {} ({})\n", self.number, self.address);
        Response { status: "200 OK", body }
    }
}
