mod listener;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use exchange::{Entry, Snapshot};
use serde::Serialize;
use tokio::sync::watch;

use crate::metrics::Metrics;
use listener::BoundedListener;

/// What the admin server tells about.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) accepting: Arc<AtomicBool>,
}

/// What `/` answers.
const PATHS: &str = "/healthz\n/readyz\n/targets\n/metrics\n";

impl Admin {
    /// Serves until the runtime ends.
    pub(crate) async fn serve(self, listener: tokio::net::TcpListener) {
        // Never returns: errors of single connections end these only.
        drop(axum::serve(BoundedListener::new(listener), self.router()).await);
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(async || PATHS))
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readiness))
            .route("/targets", get(targets))
            .fallback(async || refusal(StatusCode::NOT_FOUND, "not found"))
            .method_not_allowed_fallback(async || {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            })
            .layer(middleware::map_response(close_afterwards))
            .with_state(self)
    }
}

/// One request per connection: then a connection's total time can be bounded.
async fn close_afterwards(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    let content_type = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    (content_type, admin.metrics.expose(&snapshot))
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    if !admin.accepting.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "not accepting connections\n")
    } else if admin.snapshots.borrow().eligible().next().is_none() {
        (StatusCode::SERVICE_UNAVAILABLE, "no target is eligible\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn targets(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    let targets = snapshot.entries.iter().map(TargetView::of).collect();
    json_line(&TargetsView { generation: snapshot.generation.0, targets })
}

fn refusal(status: StatusCode, error: &'static str) -> Response {
    (status, json_line(&ErrorView { error })).into_response()
}

/// JSON that leaves a terminal's next prompt on a line of its own.
fn json_line(value: &impl Serialize) -> Response {
    let mut body = serde_json::to_string(value).expect("strings and numbers fit into JSON");
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Serialize)]
struct ErrorView {
    error: &'static str,
}

#[derive(Serialize)]
struct TargetsView<'a> {
    generation: u64,
    targets: Vec<TargetView<'a>>,
}

#[derive(Serialize)]
struct TargetView<'a> {
    id: &'a str,
    address: SocketAddr,
    zone: Option<&'a str>,
    state: &'static str,
    /// Why, where the state does not say it all.
    reason: Option<&'a str>,
    active_connections: u64,
}

impl<'a> TargetView<'a> {
    fn of(entry: &'a Entry) -> Self {
        Self {
            id: entry.target.id.as_str(),
            address: entry.target.address,
            zone: entry.target.zone.as_deref(),
            state: entry.state.as_str(),
            reason: entry.reason.as_deref(),
            active_connections: entry.counters.active(),
        }
    }
}
