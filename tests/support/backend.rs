use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A server that answers 200 and its name to whatever begins a connection, then closes it.
/// Dropped, it closes its listener.
#[derive(Debug)]
pub(crate) struct Backend {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Backend {
    /// A backend on a port of 127.0.0.1 that the kernel chooses and this listener keeps.
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), name)
    }

    /// A backend at `address`.
    pub(crate) fn start_at(address: SocketAddr, name: &str) -> Self {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let backend = Self { address, ended: Arc::clone(&ended) };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
            name.len()
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let answer = answer.clone();
                std::thread::spawn(move || serve(stream, &answer));
            }
        });
        backend
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Ends the wait for the next connection.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn serve(mut stream: TcpStream, answer: &str) {
    let mut request = [0; 4096];
    if stream.read(&mut request).is_ok_and(|bytes| bytes > 0) {
        // A client that broke off is no news.
        let _ = stream.write_all(answer.as_bytes());
    }
}
