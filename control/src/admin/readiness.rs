use std::sync::atomic::Ordering;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;

use super::context::Context;
use crate::log_lines::escaped::Escaped;
use crate::status::{ServiceStatus, Status, Statuses};

/// Whether new clients are to be sent here, with what is to be known of it, if anything; else why not.
type Readiness = Result<Option<String>, String>;

/// `GET /readyz`: of all services; `?service=443`: of that one.
pub(super) async fn readiness(
    State(context): State<Context>,
    RawQuery(query): RawQuery,
) -> (StatusCode, String) {
    let statuses = context.statuses.borrow().clone();
    let wanted = match wanted(&statuses, query.as_deref()) {
        Ok(wanted) => wanted,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let readiness = if !context.accepting.load(Ordering::Relaxed) {
        Err("starting or ending: send no new clients here".to_owned())
    } else if let Some(service) = wanted {
        of_one(&service.status)
    } else {
        of_all(&statuses)
    };
    let (code, text) = match readiness {
        Ok(_) => (StatusCode::OK, shown(readiness)),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, shown(readiness)),
    };
    (code, format!("{text}\n"))
}

fn shown(readiness: Readiness) -> String {
    match readiness {
        Ok(None) => "ready".to_owned(),
        Ok(Some(note)) => format!("ready ({note})"),
        Err(why) => why,
    }
}

/// The service that is asked for, if one is. Where there is only one, all questions are about it.
fn wanted<'a>(
    statuses: &'a Statuses,
    query: Option<&str>,
) -> Result<Option<&'a ServiceStatus>, String> {
    let asked = query.and_then(|query| query.split('&').find_map(|it| it.strip_prefix("service=")));
    let (Some(asked), [_, _, ..]) = (asked, statuses.services()) else { return Ok(None) };
    let is_it = |service: &&ServiceStatus| service.port.is_some_and(|it| it.to_string() == asked);
    statuses.services().iter().find(is_it).map(Some).ok_or_else(|| {
        let ports = statuses.services().iter().filter_map(|service| service.port);
        let ports: Vec<_> = ports.map(|port| port.to_string()).collect();
        format!("there is no service {}; there are: {}", Escaped(asked), ports.join(", "))
    })
}

/// Of all services together: clients need not wait at any, and one at least has targets for them.
/// What the others lack is told: it is no reason to send the clients of this one elsewhere.
fn of_all(statuses: &Statuses) -> Readiness {
    if let [only] = statuses.services() {
        return of_one(&only.status);
    }
    let mut notes = Vec::new();
    for service in statuses.services() {
        let name = service.prefix();
        match of_one(&service.status) {
            Ok(note) => notes.extend(note.map(|note| format!("{name}{note}"))),
            Err(why) if !service.status.admits() => return Err(format!("{name}{why}")),
            Err(why) => notes.push(format!("{name}{why}")),
        }
    }
    let notes = notes.join("; ");
    if statuses.are_ready() { Ok((!notes.is_empty()).then_some(notes)) } else { Err(notes) }
}

fn of_one(status: &Status) -> Readiness {
    if !status.admits() {
        Err("clients wait until targets are known and checked".to_owned())
    } else if status.eligible().next().is_none() {
        Err("no target is eligible".to_owned())
    } else if status.fail_open() {
        let (healthy, all) = status.healthy_of();
        Ok(Some(format!("fail-open: {healthy} of {all} targets healthy")))
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Eligibility, Entry, Routing, Target, TargetCounters};

    use super::*;
    use crate::status::Condition;

    fn service(
        port: u16,
        admits: bool,
        fail_open: bool,
        eligibility: Eligibility,
    ) -> ServiceStatus {
        let target = Arc::new(Target::at(([10, 0, 0, 1], port).into()));
        let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
        let routing = Routing::to(vec![entry.with_eligibility(eligibility)]).with_admits(admits);
        let conditions = vec![Condition::default()];
        let status = Status::new(Arc::new(routing.into()), fail_open, conditions, Vec::new());
        ServiceStatus { port: Some(port), status: Arc::new(status) }
    }

    #[test]
    fn one_service_without_targets_does_not_turn_the_clients_of_another_away() {
        let well = || service(80, true, false, Eligibility::Full);
        let open = || service(443, true, true, Eligibility::Full);
        let down = |port| service(port, true, false, Eligibility::None);
        let waits = || service(443, false, false, Eligibility::None);
        for (services, is_ready, told) in [
            (vec![well(), service(443, true, false, Eligibility::Full)], true, "ready"),
            (vec![well(), down(443)], true, "ready (service 443: no target is eligible)"),
            (vec![well(), open()], true, "ready (service 443: fail-open: 0 of 1 targets healthy)"),
            (
                vec![well(), waits()],
                false,
                "service 443: clients wait until targets are known and checked",
            ),
            (
                vec![down(80), down(443)],
                false,
                "service 80: no target is eligible; service 443: no target is eligible",
            ),
        ] {
            let readiness = of_all(&Statuses::of(services));
            assert_eq!(readiness.is_ok(), is_ready);
            assert_eq!(shown(readiness), told);
        }
    }

    #[test]
    fn a_service_is_asked_for_by_its_port() {
        let both = [80, 443].map(|port| service(port, true, false, Eligibility::Full));
        let statuses = Statuses::of(both.into());
        let asked = |query| wanted(&statuses, query).map(|it| it.and_then(|it| it.port));
        assert_eq!(asked(None), Ok(None));
        assert_eq!(asked(Some("a=b")), Ok(None));
        assert_eq!(asked(Some("service=443")), Ok(Some(443)));
        for wrong in ["service=8443", "service=", "service=0443"] {
            let error = asked(Some(wrong)).unwrap_err();
            assert!(error.contains("there are: 80, 443"), "{error}");
        }
    }
}
