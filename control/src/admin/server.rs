use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::peer::Peer;
use super::places::{Place, Places};

/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest life of an admin connection, however slowly its client sends or reads.
const LIFE_MAX: Duration = Duration::from_secs(10);

/// Pause after accept(2) has failed: for want of descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves clients until the runtime ends, one request each. Errors of single connections end these
/// only.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let mut places = Places::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = places.take().await;
                tokio::spawn(serve_one(stream, peer, router.clone(), place));
            }
            Err(error) => {
                log::debug!("the admin server cannot accept: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream, peer: SocketAddr, router: Router, place: Place) {
    let place = Arc::new(place);
    let router = TowerToHyperService::new(router.layer(Extension(Peer(peer))));
    let service = service_fn(|request| answer(&router, request, Arc::clone(&place)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // A client may end its stream once it has asked: it waits for its answer all the same.
        .half_close(true)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = timeout(LIFE_MAX, connection) => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::debug!("admin client {peer}: {error}"),
            Err(_) => log::debug!("admin client {peer}: not done within {LIFE_MAX:?}"),
        },
        () = place.is_needed() => log::debug!("admin client {peer} makes room for another"),
    }
}

async fn answer(
    router: &TowerToHyperService<Router>,
    request: Request<Incoming>,
    place: Arc<Place>,
) -> Result<Response<Body>, Infallible> {
    place.is_served();
    let answer = router.call(request).await;
    place.is_answered();
    answer
}
