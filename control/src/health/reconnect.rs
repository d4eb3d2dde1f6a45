use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use exchange::ServiceIndex;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::controller::event::Event;
use crate::health::attempted::Attempted;
use crate::health::probe::is_ours;
use crate::health::proxy_header::ProxyHeader;
use crate::policy::breaker::ConnectAttempt;
use crate::policy::identity::Identity;

/// Connects to ejected targets where clients do, and closes again.
#[derive(Debug)]
pub(crate) struct Reconnector {
    /// How long one attempt may take.
    pub(crate) connect_timeout: Duration,
    /// By service: what is sent before the end.
    pub(crate) proxy_headers: Vec<Option<ProxyHeader>>,
    /// Where the results go.
    pub(crate) events: mpsc::Sender<Event>,
}

impl Reconnector {
    /// Tries to connect to a service's `target` once, beside whatever else goes on.
    pub(crate) fn attempt(&self, service: ServiceIndex, target: Identity, began: Instant) {
        let Self { connect_timeout, proxy_headers, events } = self;
        let (connect_timeout, events) = (*connect_timeout, events.clone());
        let proxy_header = proxy_headers[service.place()];
        tokio::spawn(async move {
            let connected = timeout(connect_timeout, connect(target.address, proxy_header)).await;
            let result = judge(connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())));
            // Fails only at the runtime's end.
            let attempted = Attempted { service, target, began, result };
            let _ = events.send(Event::Attempted(attempted)).await;
        });
    }
}

async fn connect(address: SocketAddr, proxy_header: Option<ProxyHeader>) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    if let Some(header) = proxy_header {
        // The target was reached, whatever it makes of the header.
        let _ = stream.write_all(header.as_bytes()).await;
    }
    Ok(())
}

fn judge(connected: io::Result<()>) -> ConnectAttempt {
    match connected {
        Ok(()) => ConnectAttempt::Reached,
        Err(error) if is_ours(&error) => ConnectAttempt::NotMade(error.to_string()),
        Err(error) => ConnectAttempt::Failed(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn what_this_machine_lacks_is_not_held_against_the_target() {
        for lacking in [Errno::MFILE, Errno::ADDRNOTAVAIL] {
            let ConnectAttempt::NotMade(why) = judge(Err(lacking.into())) else {
                panic!("{lacking}")
            };
            assert_eq!(why, io::Error::from(lacking).to_string());
        }
        for (error, kind) in [
            (Errno::CONNREFUSED, io::ErrorKind::ConnectionRefused),
            (Errno::HOSTUNREACH, io::ErrorKind::HostUnreachable),
        ] {
            assert_eq!(judge(Err(error.into())), ConnectAttempt::Failed(kind));
        }
        assert_eq!(judge(Ok(())), ConnectAttempt::Reached);
    }
}
