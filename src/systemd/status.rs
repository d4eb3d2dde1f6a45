use control::status::{ServiceStatus, Status, Statuses};

/// One line for operators about the clients of all services; `is_listening` says whether clients can
/// connect at all.
pub(super) fn line(statuses: &Statuses, is_listening: bool) -> String {
    let of = |ServiceStatus { port, status }: &ServiceStatus| {
        let line = Clients::of(status).status(is_listening);
        port.map_or(line.clone(), |port| format!("{port}: {line}"))
    };
    let lines: Vec<_> = statuses.services().iter().map(of).collect();
    lines.join("; ")
}

/// Whether no client of any service has to wait any more.
pub(super) fn are_let_in(statuses: &Statuses) -> bool {
    statuses.iter().all(|status| Clients::of(status).are_let_in())
}

/// What becomes of clients now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clients {
    /// They wait until it is known who can serve them.
    Wait {
        /// Discovery has answered; the targets are being checked.
        for_checks: bool,
    },
    /// They are served by this many targets, although too few of all are healthy if `fail_open`.
    Served {
        /// How many targets get them.
        targets: usize,
        /// Whether checks say otherwise.
        fail_open: bool,
    },
    /// There is no target.
    TurnedAway,
}

impl Clients {
    /// By the latest snapshot.
    fn of(status: &Status) -> Self {
        match status.eligible().count() {
            0 if status.admits() => Self::TurnedAway,
            0 => Self::Wait { for_checks: status.present().next().is_some() },
            targets => Self::Served { targets, fail_open: status.fail_open() },
        }
    }

    /// Whether nobody has to wait any more.
    fn are_let_in(self) -> bool {
        !matches!(self, Self::Wait { .. })
    }

    /// One line for operators; `is_listening` says whether clients can connect at all.
    fn status(self, is_listening: bool) -> String {
        let cause = match self {
            Self::Served { targets: 1, fail_open: false } => {
                return "Clients are served by 1 target".to_owned();
            }
            Self::Served { targets, fail_open: false } => {
                return format!("Clients are served by {targets} targets");
            }
            Self::Served { .. } => {
                return "Clients are served under fail-open: too few targets are healthy"
                    .to_owned();
            }
            Self::TurnedAway if is_listening => {
                return "There is no target: clients are turned away".to_owned();
            }
            Self::TurnedAway => "There is no target",
            Self::Wait { for_checks: true } => "Waiting for the first health checks",
            Self::Wait { for_checks: false } => "Waiting for discovery",
        };
        let consequence =
            if is_listening { "clients wait in the listen queue" } else { "not listening yet" };
        format!("{cause}: {consequence}")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use control::status::Condition;
    use exchange::{Eligibility, Entry, Routing, Target, TargetCounters};

    use super::*;

    fn status(admits: bool, eligible: usize, others: usize) -> Status {
        status_under(false, admits, eligible, others)
    }

    fn status_under(fail_open: bool, admits: bool, eligible: usize, others: usize) -> Status {
        let entry = |eligibility| {
            let target = Arc::new(Target::at(([10, 0, 0, 1], 80).into()));
            let entry = Entry::new(target, Arc::new(TargetCounters::new(1)));
            entry.with_eligibility(eligibility)
        };
        let used = std::iter::repeat_with(|| entry(Eligibility::Full)).take(eligible);
        let unused = std::iter::repeat_with(|| entry(Eligibility::None)).take(others);
        let routing = Routing::to(used.chain(unused).collect()).with_admits(admits);
        let conditions = vec![Condition::default(); eligible + others];
        Status::new(Arc::new(routing.into()), fail_open, conditions, Vec::new())
    }

    #[test]
    fn each_of_several_services_is_told_of() {
        let service = |port, status| ServiceStatus { port: Some(port), status: Arc::new(status) };
        let both = |other| Statuses::of(vec![service(80, status(true, 2, 0)), service(443, other)]);
        assert_eq!(
            line(&both(status(true, 0, 0)), true),
            "80: Clients are served by 2 targets; 443: There is no target: clients are turned away"
        );
        assert!(are_let_in(&both(status(true, 0, 0))) && !are_let_in(&both(status(false, 0, 1))));
    }

    #[test]
    fn the_status_says_what_becomes_of_clients() {
        for (status, is_listening, expected) in [
            (Status::default(), true, "Waiting for discovery: clients wait in the listen queue"),
            (Status::default(), false, "Waiting for discovery: not listening yet"),
            (
                status(false, 0, 2),
                true,
                "Waiting for the first health checks: clients wait in the listen queue",
            ),
            (status(true, 1, 1), true, "Clients are served by 1 target"),
            (status(true, 2, 0), true, "Clients are served by 2 targets"),
            (
                status_under(true, true, 2, 0),
                true,
                "Clients are served under fail-open: too few targets are healthy",
            ),
            (status(true, 0, 0), true, "There is no target: clients are turned away"),
            (status(true, 0, 0), false, "There is no target: not listening yet"),
        ] {
            assert_eq!(Clients::of(&status).status(is_listening), expected);
        }
    }
}
