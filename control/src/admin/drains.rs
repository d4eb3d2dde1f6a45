use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::answer::{json_line, refusal};
use super::body::{self, BadBody};
use super::context::Context;
use super::path_id;
use super::targets_view::TargetsView;
use crate::controller::command::{AdminCommand, DrainAction};
use crate::controller::event::Event;
use crate::log_lines::escaped::Escaped;

/// `POST /targets/{id}/drain`
pub(super) async fn drain(State(context): State<Context>, request: Request) -> Response {
    obey(context, request, DrainAction::Drain).await
}

/// `POST /targets/{id}/undrain`
pub(super) async fn undrain(State(context): State<Context>, request: Request) -> Response {
    obey(context, request, DrainAction::Undrain).await
}

async fn obey(context: Context, request: Request, action: DrainAction) -> Response {
    let (parts, body) = request.into_parts();
    // As it was sent: an encoded slash is part of the id.
    let name = match path_id::parse(parts.uri.path().split('/').nth(2).unwrap_or_default()) {
        Ok(name) => name,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error),
    };
    match body::discard(body).await {
        Ok(()) => {}
        Err(BadBody::TooLarge) => {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "no body is needed");
        }
        Err(BadBody::Broken) => {
            let error = "the body is cut short or malformed; no body is needed";
            return refusal(StatusCode::BAD_REQUEST, error);
        }
    }
    let (reply, answer) = oneshot::channel();
    let command = AdminCommand { name: name.clone(), action, reply };
    let is_sent = context.events.send(Event::Commanded(command)).await.is_ok();
    match answer.await {
        Ok(Some(statuses)) if is_sent => {
            json_line(&TargetsView::called(&statuses, &name)).into_response()
        }
        Ok(None) => {
            let error = format!("there is no target {}; see /targets", Escaped(name.as_str()));
            refusal(StatusCode::NOT_FOUND, &error)
        }
        _ => refusal(StatusCode::SERVICE_UNAVAILABLE, "the balancer is ending"),
    }
}
