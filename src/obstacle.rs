//! What on this machine keeps values that are good by themselves from being used.

use crate::config::{ConfigError, Known, Problem, Refused};
use crate::{preflight, sockets};

/// All of them, found out without serving anybody.
pub(crate) fn obstacles(known: &Known) -> Vec<Problem> {
    let capacity = known.cores.and_then(preflight::capacity);
    let limit = known.cores.zip(capacity).and_then(|(cores, capacity)| {
        known.connections.and_then(|wanted| capacity.limit_problem(wanted, cores))
    });
    sockets::problems(known).into_iter().chain(limit).collect()
}

/// All that is wrong with a configuration, on any machine and on this one.
pub(crate) fn all_wrong(refused: Refused) -> ConfigError {
    let Refused { mut problems, known } = refused;
    problems.extend(obstacles(&known));
    ConfigError(problems)
}
