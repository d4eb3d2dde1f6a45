//! What is to be said of variables that can be used as they are.

pub(super) mod alias;
mod doubt;
mod port;
mod remark;
mod unused;

use std::time::Duration;

use super::environment::Environment;
pub(crate) use remark::Remark;

/// All of it; `breaker_timeout` is what `CIRCUIT_BREAKER_TIMEOUT` stands for.
pub(super) fn remarks(environment: &Environment, breaker_timeout: Duration) -> Vec<Remark> {
    let mut remarks = unused::unused(environment);
    remarks.extend(doubt::doubts(environment, breaker_timeout));
    remarks.extend(port::unused_port(environment));
    remarks.extend(alias::aliases(environment));
    remarks
}
