use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_linger, set_tcp_quickack};
use tokio::net::TcpSocket;

/// Connects to `address` and closes so that its server never hears of it.
///
/// The handshake's last segment is put off (`TCP_QUICKACK` of tcp(7) is off before it begins; by up to
/// 200 ms), and a reset goes in its place (`SO_LINGER` of socket(7) with no time). The server's kernel
/// forgets a connection that was never established, and accept(2) does not return it.
pub(super) async fn touch(address: SocketAddr) -> io::Result<()> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    set_tcp_quickack(&socket, false)?;
    set_socket_linger(&socket, Some(Duration::ZERO))?;
    socket.connect(address).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn nobody_is_accepted() {
        for host in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((host, 0)).unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..100 {
                touch(address).await.unwrap();
                let accepted = listener.accept().map(drop).map_err(|error| error.kind());
                assert_eq!(accepted, Err(io::ErrorKind::WouldBlock));
            }
            drop(listener);
            let refused = touch(address).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
