use std::net::SocketAddr;

use exchange::TargetId;
use serde::Serialize;

use crate::policy::address_in;
use crate::status::{Checks, Status, TargetStatus};

/// What `/targets` answers.
#[derive(Serialize)]
pub(super) struct TargetsView<'a> {
    generation: u64,
    targets: Vec<TargetView<'a>>,
    /// Whom operators want to drain and discovery does not know now.
    drained_absent: Vec<&'a str>,
}

impl<'a> TargetsView<'a> {
    /// Those with this id or, where there are none, at this address.
    pub(super) fn called(status: &'a Status, name: &TargetId) -> Self {
        let by_id = Self::of(status, |it| it.target().id == *name, |id| id == name);
        if !by_id.targets.is_empty() || !by_id.drained_absent.is_empty() {
            return by_id;
        }
        let address = address_in(name);
        Self::of(status, |it| Some(it.target().address) == address, |_| false)
    }

    /// All of them.
    pub(super) fn all(status: &'a Status) -> Self {
        Self::of(status, |_| true, |_| true)
    }

    fn of(
        status: &'a Status,
        is_wanted: impl Fn(&TargetStatus) -> bool,
        is_wanted_absent: impl Fn(&TargetId) -> bool,
    ) -> Self {
        let targets = status.targets().iter().filter(|target| is_wanted(target));
        let targets = targets.map(TargetView::of).collect();
        let absent = status.drained_absent().iter().filter(|id| is_wanted_absent(id));
        let drained_absent = absent.map(TargetId::as_str).collect();
        Self { generation: status.generation().number(), targets, drained_absent }
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
    fn of(status: &'a TargetStatus) -> Self {
        let (checks, check_failure) = match status.checks() {
            None => (None, None),
            Some(Checks::Pending) => (Some("pending"), None),
            Some(Checks::Passing) => (Some("passing"), None),
            Some(Checks::Failing(why)) => (Some("failing"), Some(&**why)),
        };
        Self {
            id: status.target().id.as_str(),
            address: status.target().address,
            zone: status.target().zone.as_deref(),
            state: status.state().as_str(),
            reason: status.reason(),
            checks,
            check_failure,
            active_connections: status.counters().active(),
        }
    }
}
