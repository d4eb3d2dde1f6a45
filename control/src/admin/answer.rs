use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An error that says why.
pub(super) fn refusal(status: StatusCode, error: &str) -> Response {
    (status, json_line(&ErrorView { error })).into_response()
}

/// JSON that leaves a terminal's next prompt on a line of its own.
pub(super) fn json_line(value: &impl Serialize) -> Response {
    let mut body = serde_json::to_string(value).expect("strings and numbers fit into JSON");
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Serialize)]
struct ErrorView<'a> {
    error: &'a str,
}
