use std::net::SocketAddr;

use axum::Extension;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer::refusal;

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) SocketAddr);

impl Peer {
    fn is_local(self) -> bool {
        // A socket for IPv6 may show IPv4 as ::ffff:127.0.0.1.
        self.0.ip().to_canonical().is_loopback()
    }
}

/// Lets requests that change something through from this machine only: the admin server may have
/// to listen elsewhere, for whoever asks `/readyz`.
pub(super) async fn only_local_posts(
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() == Method::POST {
        if !peer.is_local() {
            let error = "POST is accepted from a loopback address only";
            return refusal(StatusCode::FORBIDDEN, error);
        }
        // Browsers say for which page they ask: no page may do this on behalf of who looks at it.
        if request.headers().contains_key(header::ORIGIN) {
            return refusal(StatusCode::FORBIDDEN, "POST is not accepted from a web page");
        }
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_local() {
        let is_local = |peer: &str| Peer(peer.parse().unwrap()).is_local();
        for peer in ["127.0.0.1:1", "127.9.8.7:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert!(is_local(peer), "{peer}");
        }
        for peer in ["10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1", "[::]:1", "0.0.0.0:1"] {
            assert!(!is_local(peer), "{peer}");
        }
    }
}
