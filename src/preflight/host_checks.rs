//! What on this machine keeps values that are good by themselves from being used.

use super::machine;
use crate::config::{ConfigError, ParsedValues, Problem, Refused};
use crate::sockets;

/// All of them, found out without serving anybody.
pub(crate) fn host_problems(values: &ParsedValues) -> Vec<Problem> {
    let capacity = values.cores.and_then(machine::capacity);
    let limit = values.cores.zip(capacity).and_then(|(cores, capacity)| {
        values.connections.and_then(|wanted| capacity.limit_problem(wanted, cores))
    });
    sockets::problems(values).into_iter().chain(limit).collect()
}

/// All that is wrong with a configuration, on any machine and on this one.
pub(crate) fn all_wrong(refused: Refused) -> ConfigError {
    let Refused { mut problems, values } = refused;
    problems.extend(host_problems(&values));
    ConfigError(problems)
}
