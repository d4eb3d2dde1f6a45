use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::HealthServer;
use crate::net::address::{ports, unique};
use crate::net::stream::set_timeouts;
use crate::wait::PATIENCE;

/// A target whose end of each connection the test holds itself.
#[derive(Debug)]
pub struct RawTarget {
    /// Where clients are connected to it.
    pub address: SocketAddr,
    listener: TcpListener,
    /// Fills the accept queue.
    filler: Option<TcpStream>,
    _health: HealthServer,
}

impl RawTarget {
    /// Starts one that passes its health checks.
    pub fn start() -> Self {
        let address = SocketAddr::new(unique(), ports().target);
        let listener = TcpListener::bind(address).unwrap();
        // A balancer that never connects fails the test instead of holding it up (socket(7)).
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { address, listener, filler: None, _health: HealthServer::start_for(address) }
    }

    /// One that takes no connection: with its accept queue full, the kernel drops each SYN, so
    /// that connects neither succeed nor fail.
    pub fn blackhole() -> Self {
        let mut target = Self::start();
        // A queue of length 0 holds one connection all the same.
        rustix::net::listen(&target.listener, 0).unwrap();
        target.filler = Some(TcpStream::connect(target.address).unwrap());
        let another = TcpStream::connect_timeout(&target.address, Duration::from_millis(20));
        assert!(another.is_err(), "the accept queue should be full");
        target
    }

    /// Ends being a blackhole. Connects under way succeed with their next SYN, up to a second later.
    pub fn drain(&mut self) {
        rustix::net::listen(&self.listener, 4096).unwrap();
        drop(self.listener.accept().unwrap());
        self.filler = None;
    }

    /// The next connection.
    pub fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        set_timeouts(&stream);
        stream
    }
}
