use std::net::SocketAddr;
use std::time::Instant;

use log::kv::Value;

use super::accepted_client::Origin;
use crate::flow::{AbortReason, Side};
use crate::session::{CloseReason, Session};

/// The log line about a connection's end; `connects` targets were tried for it.
pub(super) fn write(
    session: &Session,
    origin: &Origin,
    target: Option<SocketAddr>,
    connects: usize,
    now: Instant,
) {
    let duration = now.saturating_duration_since(origin.accepted);
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let received = |side| session.relay().half(side).received_bytes();
    macro_rules! write_line {
        ($($service:tt)*) => {
            log::info!(
                target: "connection",
                $($service)*
                client = origin.client.as_ref().map(Value::from_display),
                target = target.as_ref().map(Value::from_display),
                end = session.close_reason().map(name),
                duration_ms = millis,
                bytes_from_client = received(Side::Client),
                bytes_from_target = received(Side::Target),
                connects = connects;
                "ended"
            )
        };
    }
    match origin.service_port {
        Some(port) => write_line!(service = port,),
        // There is only one.
        None => write_line!(),
    }
}

fn name(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Complete => "complete",
        CloseReason::ClientReset => "client_reset",
        CloseReason::TargetReset => "target_reset",
        CloseReason::NoTarget => "no_target",
        CloseReason::Refused => "refused",
        CloseReason::Rebalanced => "rebalanced",
        CloseReason::IdleTimeout => "idle_timeout",
        CloseReason::Stuck(Side::Client) => "client_timeout",
        CloseReason::Stuck(Side::Target) => "target_timeout",
        CloseReason::Aborted(AbortReason::Shutdown) => "shutdown",
        CloseReason::Aborted(AbortReason::TargetWithdrawn) => "target_withdrawn",
        CloseReason::Aborted(AbortReason::TargetUnhealthy) => "target_unhealthy",
        CloseReason::Aborted(AbortReason::NoBuffer) => "no_buffer",
        // Never logged: no client was there.
        CloseReason::GivenUp => "given_up",
        CloseReason::Broken => "broken",
    }
}
