use std::net::SocketAddr;

use super::instance::Instance;
use super::machine;
use super::report::{Check, Report};
use crate::config::{ParsedValues, table};
use crate::sockets::{self, Availability, Holder};

/// Whether clients and operators could connect. What a running instance of the balancer holds is no
/// failure: the check may run beside it, or before it is replaced.
pub(super) fn examine(values: &ParsedValues, report: &mut Report) {
    let admin = values.admin.map(|address| (address, Availability::of_admin(address)));
    let running = match &admin {
        Some((address, Availability::Taken(_))) => Instance::at(*address),
        _ => None,
    };
    if let Some(address) = values.listen {
        client_port(address, running.as_ref(), values.overlap, report);
    }
    if let Some((address, availability)) = admin {
        admin_port(address, &availability, running, report);
    }
    for problem in sockets::source_problems(&values.sources) {
        let subject = Some(table::SOURCE_ADDRESSES.name.to_owned());
        report.failure(Check::Variable, subject, problem.to_string());
    }
    if let Some(line) = values.listen_backlog.and_then(machine::short_backlog) {
        report.warning(Check::Variable, Some(table::LISTEN_BACKLOG.name.to_owned()), line);
    }
}

fn client_port(
    address: SocketAddr,
    running: Option<&Instance>,
    overlap: Option<bool>,
    report: &mut Report,
) {
    let subject = Some(address.to_string());
    match Availability::of_client(address) {
        Availability::Free => report.ok(Check::ClientPort, subject, "free".to_owned()),
        Availability::Shared => {
            let holder = match (running, Holder::of(address)) {
                (Some(instance), _) => instance.to_string(),
                (None, Some(holder)) => holder.to_string(),
                (None, None) => "another process, perhaps an instance of this balancer".to_owned(),
            };
            let otherwise = if overlap == Some(true) {
                "would share its clients, as in a rolling restart"
            } else {
                "does not start beside it, unless OVERLAP=true"
            };
            let detail = format!("held by {holder}: a further instance {otherwise}");
            report.warning(Check::ClientPort, subject, detail);
        }
        // Ours share the port, but not with another user (socket(7), SO_REUSEPORT).
        Availability::Taken(_) if running.is_some() && sockets::is_another_users(address) => {
            let detail = "held by a process of another user, probably the running instance: a \
                          further one can share the port only as the same user";
            report.warning(Check::ClientPort, subject, detail.to_owned());
        }
        Availability::Taken(problem) | Availability::Unusable(problem) => {
            report.failure(Check::ClientPort, subject, problem.to_string());
        }
    }
}

fn admin_port(
    address: SocketAddr,
    availability: &Availability,
    running: Option<Instance>,
    report: &mut Report,
) {
    let subject = Some(address.to_string());
    match (availability, running) {
        (Availability::Free, _) => report.ok(Check::AdminPort, subject, "free".to_owned()),
        (_, Some(instance)) => {
            let detail = format!(
                "held by {instance}: a further one needs an ADMIN_PORT of its own, or has to wait \
                 for its end"
            );
            report.warning(Check::AdminPort, subject, detail);
        }
        (Availability::Taken(problem) | Availability::Unusable(problem), None) => {
            report.failure(Check::AdminPort, subject, problem.to_string());
        }
        (Availability::Shared, None) => unreachable!("the admin server's port is never shared"),
    }
}
