//! Targets.

mod haproxy;
mod health;
mod nginx;
mod raw_target;
mod server;

use std::borrow::Borrow;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::http::Message;
use crate::net::address::{ports, unique};

pub use haproxy::HaProxy;
pub use health::HealthServer;
pub use nginx::Nginx;
pub use raw_target::RawTarget;
pub use server::Server;

/// The number of pieces of `/slow`.
pub const SLOW_PIECES: u8 = 10;
/// The size of each.
pub const SLOW_PIECE_BYTES: usize = 1000;
/// The time between two of them.
const SLOW_INTERVAL: Duration = Duration::from_millis(40);

/// A target that speaks HTTP: `/slow` answers bit by bit, anything else with the target's name,
/// which is its own address if it is given none. Health checks have a port of their own, so that
/// connections counted are clients', unless they are to be answered as clients are.
#[derive(Debug)]
pub struct Backend {
    /// Where it serves.
    pub address: SocketAddr,
    name: String,
    server: Option<Server>,
    /// None where checks are answered as clients are.
    health: Option<HealthServer>,
}

/// Where these serve.
pub fn addresses(backends: &[impl Borrow<Backend>]) -> Vec<SocketAddr> {
    backends.iter().map(|backend| backend.borrow().address).collect()
}

impl Backend {
    /// One at an address of its own.
    pub fn start() -> Self {
        Self::start_on(SocketAddr::new(unique(), ports().target))
    }

    /// One at this address.
    pub fn start_on(address: SocketAddr) -> Self {
        let name = address.to_string();
        let health = Some(HealthServer::start_for(address));
        Self { address, server: Some(serve(address, name.clone())), name, health }
    }

    /// One of this name that answers health checks as it does clients, at an address of its own.
    pub fn named(name: &str) -> Self {
        Self::named_on(SocketAddr::new(unique(), ports().target), name)
    }

    /// One of this name that answers health checks as it does clients, at this address,
    /// where port 0 is any that is free.
    pub fn named_on(address: SocketAddr, name: &str) -> Self {
        let server = serve(address, name.to_owned());
        let address = server.address();
        Self { address, name: name.to_owned(), server: Some(server), health: None }
    }

    fn health(&self) -> &HealthServer {
        self.health.as_ref().expect("its checks have a port of their own")
    }

    /// Drops listeners and connections, as `kill -9` would.
    pub fn kill(&mut self) {
        self.server = None;
        if let Some(health) = &mut self.health {
            health.kill();
        }
    }

    /// Nobody can connect any more, but health checks go on as before.
    pub fn refuse(&mut self) {
        self.server = None;
    }

    /// The opposite of [`Backend::refuse`].
    pub fn accept(&mut self) {
        self.server = Some(serve(self.address, self.name.clone()));
    }

    /// The opposite of [`Backend::kill`].
    pub fn revive(&mut self) {
        self.accept();
        if let Some(health) = &mut self.health {
            health.revive();
        }
    }

    /// Health checks get `status` from now on; with 0 they hang.
    pub fn set_health(&self, status: u16) {
        self.health().set_status(status);
    }

    /// Health checks get these in turn, over and over.
    pub fn set_health_in_turn(&self, statuses: &[u16]) {
        self.health().set_statuses(statuses);
    }

    /// Health checks so far.
    pub fn checks(&self) -> usize {
        self.health().checks()
    }

    /// Connections accepted since it was last revived.
    pub fn accepted(&self) -> usize {
        self.server.as_ref().map_or(0, Server::accepted)
    }

    /// Where its open connections come from.
    pub fn peers(&self) -> Vec<SocketAddr> {
        self.server.as_ref().map_or_else(Vec::new, Server::peers)
    }

    /// Connections open now.
    pub fn live(&self) -> usize {
        self.server.as_ref().map_or(0, Server::live)
    }
}

fn serve(address: SocketAddr, name: String) -> Server {
    Server::start(address, move |stream| {
        while let Ok(Some(request)) = Message::read(stream) {
            let answered = match request.target() {
                "/slow" => answer_slowly(stream),
                _ => Message::answer(200, &*name).write(stream),
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
pub fn slow_body() -> String {
    (0..SLOW_PIECES).flat_map(|piece| [char::from(piece); SLOW_PIECE_BYTES]).collect()
}
