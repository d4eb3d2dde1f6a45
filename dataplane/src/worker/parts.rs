use std::sync::Arc;

use exchange::{CoreCounters, Reporter, Subscriber};

use super::acceptors::pause_log::PauseLog;
use super::core_balancer::CoreBalancer;
use super::lifecycle::Lifecycle;
use crate::limits::Admission;
use crate::limits::rejection_log::RejectionLog;
use crate::settings::Settings;
use crate::sys::listener::Listener;

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) core: usize,
    /// By service.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) balancer: CoreBalancer,
    /// By service; what wakes the core is the same for all.
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) reporter: Reporter,
    pub(crate) lifecycle: Arc<Lifecycle>,
    /// For lines about accepting having paused.
    pub(crate) pause_log: Arc<PauseLog>,
    /// For lines about clients that were turned away.
    pub(crate) rejection_log: Arc<RejectionLog>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counters: Arc<[CoreCounters]>,
}
