mod answer;
mod body;
mod context;
mod drains;
mod path_id;
mod peer;
mod places;
mod readiness;
mod server;
mod targets_view;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Router, middleware};

use answer::{json_line, refusal};
pub(crate) use context::Context;
use places::PLACES_MAX;
use targets_view::TargetsView;

/// Most descriptors that the admin server takes: its listener, its clients, and one that comes.
pub(crate) const DESCRIPTORS_MAX: usize = 1 + PLACES_MAX + 1;

/// What `/` answers.
const PATHS: &str = "/healthz\n/readyz\n/targets\n/metrics\n\
                     POST /targets/{id}/drain\nPOST /targets/{id}/undrain\n";

/// Serves until the runtime ends.
pub(crate) async fn serve(context: Context, listener: tokio::net::TcpListener) {
    server::serve(listener, router(context)).await;
}

fn router(context: Context) -> Router {
    Router::new()
        .route("/", get(async || PATHS))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness::readiness))
        .route("/targets", get(targets))
        .route("/targets/{id}/drain", post(drains::drain))
        .route("/targets/{id}/undrain", post(drains::undrain))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "not found"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
        })
        .layer(middleware::from_fn(peer::only_local_posts))
        .with_state(context)
}

async fn metrics(State(context): State<Context>) -> impl IntoResponse {
    let statuses = context.statuses.borrow().clone();
    let content_type = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    (content_type, context.metrics.expose(&statuses))
}

async fn targets(State(context): State<Context>) -> impl IntoResponse {
    json_line(&TargetsView::all(&context.statuses.borrow().clone()))
}
