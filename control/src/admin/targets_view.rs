use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use exchange::{Target, TargetId};
use serde::Serialize;

use crate::policy::address_in;
use crate::status::{Checks, ServiceStatus, Statuses, TargetStatus};

/// What `/targets` answers.
#[derive(Serialize)]
pub(super) struct TargetsView<'a> {
    generation: u64,
    targets: Vec<TargetView<'a>>,
    /// Whom operators want to drain and discovery does not know now.
    drained_absent: Vec<&'a str>,
}

impl<'a> TargetsView<'a> {
    /// Those with this id or, where there are none, at this address; of every service.
    pub(super) fn called(statuses: &'a Statuses, name: &TargetId) -> Self {
        let by_id = Self::of(statuses, |_, it| it.target().id == *name, |id| id == name);
        if !by_id.targets.is_empty() || !by_id.drained_absent.is_empty() {
            return by_id;
        }
        let address = address_in(name);
        let is_there = |it: &TargetStatus| Some(it.target().address) == address;
        let services =
            statuses.iter().map(|status| status.targets().iter().filter(|it| is_there(it)));
        let there: BTreeSet<_> = services.flatten().map(|it| instance(it.target())).collect();
        // Its targets of other services serve at other ports.
        let is_wanted = |port: Option<u16>, it: &TargetStatus| match port {
            Some(_) => there.contains(&instance(it.target())),
            None => is_there(it),
        };
        Self::of(statuses, is_wanted, |_| false)
    }

    /// All of them.
    pub(super) fn all(statuses: &'a Statuses) -> Self {
        Self::of(statuses, |_, _| true, |_| true)
    }

    fn of(
        statuses: &'a Statuses,
        is_wanted: impl Fn(Option<u16>, &TargetStatus) -> bool,
        is_wanted_absent: impl Fn(&TargetId) -> bool,
    ) -> Self {
        let mut targets = Vec::new();
        let mut absent = BTreeSet::new();
        for ServiceStatus { port, status } in statuses.services() {
            let wanted = status.targets().iter().filter(|target| is_wanted(*port, target));
            targets.extend(wanted.map(|target| TargetView::of(*port, target)));
            absent.extend(status.drained_absent().iter().filter(|id| is_wanted_absent(id)));
        }
        let drained_absent = absent.into_iter().map(TargetId::as_str).collect();
        // Grows with any of them.
        let generation = statuses.iter().map(|status| status.generation().number()).sum();
        Self { generation, targets, drained_absent }
    }
}

/// What is one instance for all services.
fn instance(target: &Target) -> (&TargetId, IpAddr) {
    (&target.id, target.address.ip())
}

#[derive(Serialize)]
struct TargetView<'a> {
    /// The port of the service, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<u16>,
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
    fn of(service: Option<u16>, status: &'a TargetStatus) -> Self {
        let (checks, check_failure) = match status.checks() {
            None => (None, None),
            Some(Checks::Pending) => (Some("pending"), None),
            Some(Checks::Passing) => (Some("passing"), None),
            Some(Checks::Failing(why)) => (Some("failing"), Some(&**why)),
        };
        Self {
            service,
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
