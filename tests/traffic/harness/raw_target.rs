use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use super::PATIENCE;
use super::address::{ports, unique};
use super::backend::HealthServer;
use super::stream::set_timeouts;

/// A target whose end of each connection the test holds itself.
pub(crate) struct RawTarget {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
    /// Fills the accept queue.
    filler: Option<TcpStream>,
    _health: HealthServer,
}

impl RawTarget {
    pub(crate) fn start() -> Self {
        let address = SocketAddr::new(unique(), ports().target);
        let listener = TcpListener::bind(address).unwrap();
        // A balancer that never connects fails the test instead of holding it up (socket(7)).
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { address, listener, filler: None, _health: HealthServer::start(address) }
    }

    /// One that takes no connection: with its accept queue full, the kernel drops each SYN, so
    /// that connects neither succeed nor fail.
    pub(crate) fn blackhole() -> Self {
        let mut target = Self::start();
        // A queue of length 0 holds one connection all the same.
        rustix::net::listen(&target.listener, 0).unwrap();
        target.filler = Some(TcpStream::connect(target.address).unwrap());
        let another = TcpStream::connect_timeout(&target.address, Duration::from_millis(20));
        assert!(another.is_err(), "the accept queue should be full");
        target
    }

    /// Ends being a blackhole. Connects under way succeed with their next SYN, up to a second later.
    pub(crate) fn drain(&mut self) {
        rustix::net::listen(&self.listener, 4096).unwrap();
        drop(self.listener.accept().unwrap());
        self.filler = None;
    }

    pub(crate) fn accept(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        set_timeouts(&stream);
        stream
    }
}
