mod body;
mod orders;
mod path_id;
mod peer;
mod places;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use exchange::{Checks, Entry, Snapshot, TargetId};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::controller::Event;
use crate::metrics::Metrics;
use crate::policy::roster::address_in;
use places::PLACES_MAX;

/// What the admin server tells about, and whom it passes orders to.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) accepting: Arc<AtomicBool>,
    pub(crate) events: mpsc::Sender<Event>,
}

/// Most descriptors that the admin server takes: its listener, its clients, and one that comes.
pub(crate) const DESCRIPTORS_MAX: usize = 1 + PLACES_MAX + 1;

/// What `/` answers.
const PATHS: &str = "/healthz\n/readyz\n/targets\n/metrics\n\
                     POST /targets/{id}/drain\nPOST /targets/{id}/undrain\n";

impl Admin {
    /// Serves until the runtime ends.
    pub(crate) async fn serve(self, listener: tokio::net::TcpListener) {
        server::serve(listener, self.router()).await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/", get(async || PATHS))
            .route("/metrics", get(metrics))
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readiness))
            .route("/targets", get(targets))
            .route("/targets/{id}/drain", post(orders::drain))
            .route("/targets/{id}/undrain", post(orders::undrain))
            .fallback(async || refusal(StatusCode::NOT_FOUND, "not found"))
            .method_not_allowed_fallback(async || {
                refusal(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
            })
            .layer(middleware::from_fn(peer::only_local_posts))
            .with_state(self)
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    let content_type = [(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)];
    (content_type, admin.metrics.expose(&snapshot))
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, String) {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if !admin.accepting.load(Ordering::Relaxed) {
        unavailable("starting or ending: send no new clients here")
    } else if !snapshot.admits {
        unavailable("clients wait until targets are known and checked")
    } else if snapshot.eligible().next().is_none() {
        unavailable("no target is eligible")
    } else if snapshot.fail_open {
        let (healthy, all) = snapshot.healthy_of();
        (StatusCode::OK, format!("ready (fail-open: {healthy} of {all} targets healthy)\n"))
    } else {
        (StatusCode::OK, "ready\n".to_owned())
    }
}

async fn targets(State(admin): State<Admin>) -> impl IntoResponse {
    let snapshot = Arc::clone(&admin.snapshots.borrow());
    json_line(&TargetsView::of(&snapshot, |_| true, |_| true))
}

fn refusal(status: StatusCode, error: &str) -> Response {
    (status, json_line(&ErrorView { error })).into_response()
}

/// JSON that leaves a terminal's next prompt on a line of its own.
fn json_line(value: &impl Serialize) -> Response {
    let mut body = serde_json::to_string(value).expect("strings and numbers fit into JSON");
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Serialize)]
struct ErrorView<'a> {
    error: &'a str,
}

#[derive(Serialize)]
struct TargetsView<'a> {
    generation: u64,
    targets: Vec<TargetView<'a>>,
    /// Whom operators want to drain and discovery does not know now.
    drained_absent: Vec<&'a str>,
}

impl<'a> TargetsView<'a> {
    /// Those with this id or, where there are none, at this address.
    fn called(snapshot: &'a Snapshot, name: &TargetId) -> Self {
        let by_id = Self::of(snapshot, |entry| entry.target.id == *name, |id| id == name);
        if !by_id.targets.is_empty() || !by_id.drained_absent.is_empty() {
            return by_id;
        }
        let address = address_in(name);
        Self::of(snapshot, |entry| Some(entry.target.address) == address, |_| false)
    }

    fn of(
        snapshot: &'a Snapshot,
        is_wanted: impl Fn(&Entry) -> bool,
        is_wanted_absent: impl Fn(&TargetId) -> bool,
    ) -> Self {
        let entries = snapshot.entries.iter().filter(|entry| is_wanted(entry));
        let targets = entries.map(TargetView::of).collect();
        let absent = snapshot.drained_absent.iter().filter(|id| is_wanted_absent(id));
        let drained_absent = absent.map(TargetId::as_str).collect();
        Self { generation: snapshot.generation.0, targets, drained_absent }
    }
}

#[derive(Serialize)]
struct TargetView<'a> {
    id: &'a str,
    address: SocketAddr,
    zone: Option<&'a str>,
    state: &'static str,
    /// Why, where the state does not say it all.
    reason: Option<&'a str>,
    /// What its health checks say; none where it is not checked any more.
    checks: Option<&'static str>,
    /// Why they fail, if they do.
    check_failure: Option<&'a str>,
    active_connections: u64,
}

impl<'a> TargetView<'a> {
    fn of(entry: &'a Entry) -> Self {
        let (checks, check_failure) = match &entry.checks {
            None => (None, None),
            Some(Checks::Pending) => (Some("pending"), None),
            Some(Checks::Passing) => (Some("passing"), None),
            Some(Checks::Failing(why)) => (Some("failing"), Some(&**why)),
        };
        Self {
            id: entry.target.id.as_str(),
            address: entry.target.address,
            zone: entry.target.zone.as_deref(),
            state: entry.state.as_str(),
            reason: entry.reason.as_deref(),
            checks,
            check_failure,
            active_connections: entry.counters.active(),
        }
    }
}
