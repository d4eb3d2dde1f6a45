use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::wait::PATIENCE;

/// A listener with a thread for it and one for each of its connections, that can be killed as a
/// whole: then it refuses, and its connections end, as the kernel does it for a killed process.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    accepting: Option<JoinHandle<()>>,
    connections: Arc<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    live: Mutex<Vec<Arc<TcpStream>>>,
    accepted: AtomicUsize,
}

impl Server {
    /// Serves at `address`, each connection by `serve`, which returns when the connection is to be closed.
    pub fn start(address: SocketAddr, serve: impl Fn(&TcpStream) + Clone + Send + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind(address).unwrap());
        let address = listener.local_addr().unwrap();
        let connections = Arc::<Connections>::default();
        let (accepts, theirs) = (Arc::clone(&listener), Arc::clone(&connections));
        let accepting = thread::spawn(move || {
            while let Ok((stream, _)) = accepts.accept() {
                let (serve, theirs) = (serve.clone(), Arc::clone(&theirs));
                // A peer that reads nothing holds nobody up for ever.
                let _ = stream.set_write_timeout(Some(PATIENCE));
                let stream = theirs.add(stream);
                thread::spawn(move || {
                    serve(&stream);
                    theirs.remove(&stream);
                });
            }
        });
        Self { address, listener, accepting: Some(accepting), connections }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    /// The other ends of the connections open now.
    pub fn peers(&self) -> Vec<SocketAddr> {
        let live = self.connections.live.lock().unwrap();
        live.iter().filter_map(|stream| stream.peer_addr().ok()).collect()
    }

    /// Connections open now.
    pub fn live(&self) -> usize {
        self.connections.live.lock().unwrap().len()
    }
}

impl Connections {
    fn add(&self, stream: TcpStream) -> Arc<TcpStream> {
        let stream = Arc::new(stream);
        self.live.lock().unwrap().push(Arc::clone(&stream));
        self.accepted.fetch_add(1, Ordering::SeqCst);
        stream
    }

    fn remove(&self, stream: &Arc<TcpStream>) {
        self.live.lock().unwrap().retain(|other| !Arc::ptr_eq(other, stream));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the accept (with EINVAL), which close() would not.
        rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both).unwrap();
        self.accepting.take().unwrap().join().unwrap();
        for stream in self.connections.live.lock().unwrap().drain(..) {
            // Fails where the peer was faster.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
