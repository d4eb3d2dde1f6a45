//! Starts the two planes in order, and ends them in order.

mod balancer;
mod shutdown;

use control::Control;

use crate::config::{Config, ConfigError, Environment, Misspelt, ParsedValues, Problem, Refused};
use crate::exit::Failure;
use crate::signals::{Hangup, Signals};
use crate::systemd::Origin;
use crate::{logging, preflight, runtime};
use balancer::Balancer;

/// Balances as `environment` says, until a signal ends it.
///
/// # Errors
/// Why it did not start.
pub(crate) fn run(environment: Environment) -> Result<(), Failure> {
    let (mut origin, mut problems) = Origin::of_process();
    let described = match &mut origin.inherited {
        Some(inherited) => inherited.describe(environment),
        None => Ok((environment, None)),
    };
    let (environment, ignored) = described.unwrap_or_else(|(environment, error)| {
        problems.extend(error.0);
        (environment, None)
    });
    let config = parse(&environment, &origin, problems)
        .map_err(|error| Failure::config(&error).with_misspelt())?;
    logging::start(config.log_format, &config.log_filter);
    let misspelt = Misspelt::of_process().into_iter().map(|misspelt| misspelt.to_string());
    misspelt.for_each(|line| log::warn!("{line}"));
    for remark in &config.remarks {
        let level = if remark.is_warning { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "{remark}");
    }
    if let Some(line) = ignored {
        log::warn!("{line}");
    }
    balance(config, origin, Hangup::Reloads, |_| ())
}

/// The configuration, or all that is wrong with it beside these `problems`, which are of `origin`.
fn parse(
    environment: &Environment,
    origin: &Origin,
    mut problems: Vec<Problem>,
) -> Result<Config, ConfigError> {
    // Whether a socket was passed that cannot be used, is then not values.
    let binds = origin.inherited.is_none() && problems.is_empty();
    let refused = match Config::parse(environment) {
        Ok(config) if problems.is_empty() => return Ok(config),
        Ok(config) => Refused { problems: Vec::new(), values: config.values() },
        Err(refused) => *refused,
    };
    let listen = if binds { refused.values.listen } else { Vec::new() };
    let values = ParsedValues { listen, ..refused.values };
    problems.extend(preflight::all_wrong(Refused { values, ..refused }).0);
    Err(ConfigError(problems))
}

/// Balances as `config` says, until a signal ends it. Once clients are accepted, `companion` is
/// called inside the runtime; what it returns is dropped before the process ends, however it does.
///
/// # Errors
/// Why it did not start.
pub(crate) fn balance<C>(
    mut config: Config,
    origin: Origin,
    hangup: Hangup,
    companion: impl FnOnce(&Control) -> C,
) -> Result<(), Failure> {
    let is_bound = origin.inherited.is_some();
    let values = config.values();
    let capacity = preflight::check_before_start(&ParsedValues {
        listen: if is_bound { Vec::new() } else { values.listen },
        listen_backlog: values.listen_backlog.filter(|_| !is_bound),
        ..values
    })?;
    config.dataplane.connections_max = capacity.connections_max;
    config.control.probes_max = capacity.probes_max;
    let runtime = runtime::runtime().map_err(|error| Failure::other(&error))?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::new(hangup).map_err(|error| Failure::other(&error))?;
        let shutdown_delay = config.shutdown_delay;
        let mut balancer = Balancer::start(config, origin)?;
        let companion = companion(&balancer.control);
        let forced = balancer.run_until_signal(&mut signals, shutdown_delay).await;
        drop(companion);
        forced?.map_or(Ok(()), |forced| forced.exit())
    });
    // Health checks may block for as long as their timeout: nobody waits for them.
    runtime.shutdown_background();
    ended
}
