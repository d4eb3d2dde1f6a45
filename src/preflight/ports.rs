use std::io;
use std::net::SocketAddr;

use dataplane::Sources;

use super::availability::Availability;
use super::findings::{Check, Findings};
use super::instance::Instance;
use super::limits;
use crate::config::table::{LISTEN_BACKLOG, SOURCE_ADDRESSES};
use crate::config::{ParsedValues, Problem};
use crate::sockets::{self, Holder, may_pass};

/// Why somebody looks whether ports are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To take them: what another process holds keeps this one from it.
    Start,
    /// To tell: what a running instance of the balancer holds is no failure, since the check may run
    /// beside it, or before it is replaced.
    Report,
}

/// Whether clients and operators could connect, and the balancer to targets.
pub(super) fn examine(values: &ParsedValues, purpose: Purpose, findings: &mut Findings) {
    let admin = values.admin.map(|address| (address, Availability::of_admin(address)));
    let running = match &admin {
        Some((address, Availability::Taken(_))) if purpose == Purpose::Report => {
            Instance::at(*address)
        }
        _ => None,
    };
    for &address in &values.listen {
        match (purpose, values.overlap) {
            (Purpose::Start, Some(false)) => {
                clients(address, Availability::of_client_alone(address), findings);
            }
            (Purpose::Start, _) => clients(address, Availability::of_client(address), findings),
            (Purpose::Report, overlap) => {
                clients_beside(address, running.as_ref(), overlap, findings);
            }
        }
    }
    if let Some((address, availability)) = admin {
        admin_port(address, availability, running, findings);
    }
    for problem in source_problems(&values.sources) {
        let subject = Some(SOURCE_ADDRESSES.name().to_owned());
        findings.refused(Check::Variable, subject, problem);
    }
    if let Some(line) = values.listen_backlog.and_then(limits::short_backlog) {
        findings.warning(Check::Variable, Some(LISTEN_BACKLOG.name().to_owned()), line);
    }
}

/// Whether clients could connect.
fn clients(address: SocketAddr, availability: Availability, findings: &mut Findings) {
    let subject = Some(address.to_string());
    match availability {
        Availability::Free => findings.ok(Check::ClientPort, subject, "free".to_owned()),
        Availability::Shared => findings.ok(Check::ClientPort, subject, "shared".to_owned()),
        Availability::Taken(problem) | Availability::Unusable(problem) => {
            findings.refused(Check::ClientPort, subject, problem);
        }
    }
}

/// Whether clients could connect to a further instance.
fn clients_beside(
    address: SocketAddr,
    running: Option<&Instance>,
    overlap: Option<bool>,
    findings: &mut Findings,
) {
    let subject = Some(address.to_string());
    match Availability::of_client(address) {
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
            findings.warning(Check::ClientPort, subject, detail);
        }
        // Ours share the port, but not with another user (socket(7), SO_REUSEPORT).
        Availability::Taken(_) if running.is_some() && sockets::is_another_users(address) => {
            let detail = "held by a process of another user, probably the running instance: a \
                          further one can share the port only as the same user";
            findings.warning(Check::ClientPort, subject, detail.to_owned());
        }
        availability => clients(address, availability, findings),
    }
}

fn admin_port(
    address: SocketAddr,
    availability: Availability,
    running: Option<Instance>,
    findings: &mut Findings,
) {
    let subject = Some(address.to_string());
    match (availability, running) {
        (Availability::Free, _) => findings.ok(Check::AdminPort, subject, "free".to_owned()),
        (_, Some(instance)) => {
            let detail = format!(
                "held by {instance}: a further one needs an ADMIN_PORT of its own, or has to wait \
                 for its end"
            );
            findings.warning(Check::AdminPort, subject, detail);
        }
        (Availability::Taken(problem) | Availability::Unusable(problem), None) => {
            findings.refused(Check::AdminPort, subject, problem);
        }
        (Availability::Shared, None) => unreachable!("the admin server's port is never shared"),
    }
}

/// The addresses to connect from that are not this machine's.
fn source_problems(sources: &Sources) -> Vec<Problem> {
    let problems = sources.unusable().map(|(source, error)| {
        let reason = match error.kind() {
            io::ErrorKind::AddrNotAvailable => {
                "is no address of this machine; accepted: local addresses, as ip address shows them"
                    .to_owned()
            }
            _ => format!("cannot be connected from ({error}); accepted: local addresses"),
        };
        Problem::new(SOURCE_ADDRESSES.name(), Some(&source.to_string()), &reason)
            .temporary_if(may_pass(&error))
    });
    problems.collect()
}
