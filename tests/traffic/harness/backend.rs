use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::address::{ports, unique};
use super::http;
use super::server::Server;

/// Size and number of the pieces of `/slow`, and the time between two of them.
pub(crate) const SLOW_PIECES: u8 = 10;
pub(crate) const SLOW_PIECE_BYTES: usize = 1000;
const SLOW_INTERVAL: Duration = Duration::from_millis(40);

/// A target that speaks HTTP: `/slow` answers bit by bit, anything else with the target's own
/// address. Health checks have a port of their own, so that connections counted are clients'.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    server: Option<Server>,
    health: HealthServer,
}

pub(crate) fn addresses(backends: &[Backend]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.address).collect()
}

impl Backend {
    pub(crate) fn start() -> Self {
        Self::start_on(SocketAddr::new(unique(), ports().target))
    }

    pub(crate) fn start_on(address: SocketAddr) -> Self {
        let health = HealthServer::start(address);
        Self { address, server: Some(serve(address)), health }
    }

    /// Drops listeners and connections, as `kill -9` would.
    pub(crate) fn kill(&mut self) {
        self.server = None;
        self.health.server = None;
    }

    /// Nobody can connect any more, but health checks go on as before.
    pub(crate) fn refuse(&mut self) {
        self.server = None;
    }

    /// The opposite of [`Backend::refuse`].
    pub(crate) fn accept(&mut self) {
        self.server = Some(serve(self.address));
    }

    pub(crate) fn revive(&mut self) {
        self.accept();
        self.health.serve();
    }

    /// Health checks get `status` from now on; with 0 they hang.
    pub(crate) fn set_health(&self, status: u16) {
        self.set_health_in_turn(&[status]);
    }

    /// Health checks get these in turn, over and over.
    pub(crate) fn set_health_in_turn(&self, statuses: &[u16]) {
        *self.health.statuses.lock().unwrap() = statuses.iter().copied().collect();
    }

    /// Health checks so far.
    pub(crate) fn checks(&self) -> usize {
        self.health.server.as_ref().map_or(0, Server::accepted)
    }

    /// Connections accepted since it was last revived.
    pub(crate) fn accepted(&self) -> usize {
        self.server.as_ref().map_or(0, Server::accepted)
    }

    /// Where its open connections come from.
    pub(crate) fn peers(&self) -> Vec<SocketAddr> {
        self.server.as_ref().map_or_else(Vec::new, Server::peers)
    }

    pub(crate) fn live(&self) -> usize {
        self.server.as_ref().map_or(0, Server::live)
    }
}

/// What health checks of a target talk to.
pub(crate) struct HealthServer {
    address: SocketAddr,
    /// The first is the next answer.
    statuses: Arc<Mutex<VecDeque<u16>>>,
    server: Option<Server>,
}

impl HealthServer {
    /// The one of `target`: at its address, on the port for health checks.
    pub(crate) fn start(target: SocketAddr) -> Self {
        let address = SocketAddr::new(target.ip(), ports().health);
        let statuses = Arc::new(Mutex::new([200].into()));
        let mut health = Self { address, statuses, server: None };
        health.serve();
        health
    }

    fn serve(&mut self) {
        let statuses = Arc::clone(&self.statuses);
        let next = move || {
            let mut statuses = statuses.lock().unwrap();
            statuses.rotate_left(1);
            statuses.back().copied().unwrap()
        };
        self.server = Some(Server::start(self.address, move |stream| {
            let Ok(Some(_)) = http::read_head(stream) else { return };
            let mut status = next();
            while status == 0 {
                thread::sleep(Duration::from_millis(5));
                status = next();
            }
            // The probe may have given up.
            let _ = http::answer(stream, status, b"");
        }));
    }
}

fn serve(address: SocketAddr) -> Server {
    let name = address.to_string();
    Server::start(address, move |stream| {
        while let Ok(Some(head)) = http::read_head(stream) {
            let answered = match http::path(&head) {
                "/slow" => answer_slowly(stream),
                _ => http::answer(stream, 200, name.as_bytes()),
            };
            if answered.is_err() {
                return;
            }
        }
    })
}

fn answer_slowly(mut stream: &TcpStream) -> io::Result<()> {
    let bytes = usize::from(SLOW_PIECES) * SLOW_PIECE_BYTES;
    stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n").as_bytes())?;
    for piece in 0..SLOW_PIECES {
        stream.write_all(&[piece; SLOW_PIECE_BYTES])?;
        thread::sleep(SLOW_INTERVAL);
    }
    Ok(())
}

/// The body of `/slow`.
pub(crate) fn slow_body() -> Vec<u8> {
    (0..SLOW_PIECES).flat_map(|piece| [piece; SLOW_PIECE_BYTES]).collect()
}
