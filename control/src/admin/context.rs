use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{mpsc, watch};

use crate::controller::event::Event;
use crate::metrics::Metrics;
use crate::status::Statuses;

/// What the admin server tells about, and whom it passes commands to.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) statuses: watch::Receiver<Statuses>,
    pub(crate) accepting: Arc<AtomicBool>,
    pub(crate) events: mpsc::Sender<Event>,
}
