use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};

/// Largest body of a request, in bytes. None is needed.
const BODY_MAX: u64 = 1024;

/// What is read of a body that is too large: a client that is still sending when the connection
/// ends would see a reset instead of its answer.
const DISCARDED_MAX: u64 = 1 << 20;

/// What is wrong with a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadBody {
    TooLarge,
    /// It ended too early, took too long or is not well-formed (RFC 9112, section 8): whoever sent
    /// it may have meant something else.
    Broken,
}

/// Reads the body to its end, for nothing.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn discard(mut body: Body) -> Result<(), BadBody> {
    // As announced, if it was.
    if body.size_hint().lower() > DISCARDED_MAX {
        return Err(BadBody::TooLarge);
    }
    let mut bytes = 0;
    while bytes <= DISCARDED_MAX {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return Err(BadBody::Broken),
            None => break,
        }
    }
    if bytes <= BODY_MAX { Ok(()) } else { Err(BadBody::TooLarge) }
}
