use std::future::poll_fn;
use std::pin::Pin;

use axum::body::{Body, HttpBody};

/// Largest body of a request, in bytes. None is needed.
const BODY_MAX: u64 = 1024;

/// What is read of a body that is too large: a client that is still sending when the connection
/// ends would see a reset instead of its answer.
const DISCARDED_MAX: u64 = 1 << 20;

/// Reads the body to its end, for nothing. False if it is too large.
pub(super) async fn is_small(mut body: Body) -> bool {
    // As announced, if it was.
    if body.size_hint().lower() > DISCARDED_MAX {
        return false;
    }
    let mut bytes = 0;
    while bytes <= DISCARDED_MAX {
        // A body that ends too early is none that somebody waits for an answer to.
        let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        else {
            break;
        };
        bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    bytes <= BODY_MAX
}
