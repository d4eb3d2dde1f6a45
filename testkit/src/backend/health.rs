use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::server::Server;
use crate::http::Message;
use crate::net::address::ports;

/// What health checks of a target talk to.
#[derive(Debug)]
pub struct HealthServer {
    /// Where it serves.
    pub address: SocketAddr,
    /// The first is the next answer.
    statuses: Arc<Mutex<VecDeque<u16>>>,
    server: Option<Server>,
}

impl HealthServer {
    /// The one of `target`: at its address, on the port for health checks.
    pub fn start_for(target: SocketAddr) -> Self {
        Self::start_on(SocketAddr::new(target.ip(), ports().health))
    }

    /// One at this address, where port 0 is any that is free.
    pub fn start_on(address: SocketAddr) -> Self {
        let statuses = Arc::new(Mutex::new([200].into()));
        let server = serve(address, Arc::clone(&statuses));
        Self { address: server.address(), statuses, server: Some(server) }
    }

    /// Drops listener and connections, as `kill -9` would.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// The opposite of [`HealthServer::kill`].
    pub fn revive(&mut self) {
        self.server = Some(serve(self.address, Arc::clone(&self.statuses)));
    }

    /// Checks get `status` from now on; with 0 they hang.
    pub fn set_status(&self, status: u16) {
        self.set_statuses(&[status]);
    }

    /// Checks get these in turn, over and over.
    pub fn set_statuses(&self, statuses: &[u16]) {
        *self.statuses.lock().unwrap() = statuses.iter().copied().collect();
    }

    /// Checks so far.
    pub fn checks(&self) -> usize {
        self.server.as_ref().map_or(0, Server::accepted)
    }
}

fn serve(address: SocketAddr, statuses: Arc<Mutex<VecDeque<u16>>>) -> Server {
    let next = move || {
        let mut statuses = statuses.lock().unwrap();
        statuses.rotate_left(1);
        statuses.back().copied().unwrap()
    };
    Server::start(address, move |stream| {
        let Ok(Some(_)) = Message::read(stream) else { return };
        let mut status = next();
        while status == 0 {
            thread::sleep(Duration::from_millis(5));
            status = next();
        }
        let mut answer = Message::answer(status, "");
        // Whoever follows it finds nobody.
        answer.headers.push("Location: /elsewhere".to_owned());
        // The probe may have given up.
        let _ = answer.write(stream);
    })
}
