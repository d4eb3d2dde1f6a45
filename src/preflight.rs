//! Whether the balancer would serve as configured: `stateless-load-balancer check`.

#[cfg(feature = "aws")]
mod aws;
mod host_checks;
mod instance;
mod limits;
mod machine;
mod ports;
mod report;
mod targets;
mod zone;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::{Config, Environment, Misspelt};
use crate::exit;
pub(crate) use host_checks::{all_wrong, host_problems};
pub(crate) use machine::{check, explain, short_backlog};
use report::{Check, Report};

/// Checks all that can be checked without serving anybody, and prints what was found: as a table,
/// or as JSON.
pub(crate) fn run(environment: Environment, json: bool) -> ExitCode {
    let report = examine(environment);
    let text = if json { report.json() } else { report.table() };
    // With standard output closed, the exit status has to say it all.
    drop(io::stdout().write_all(text.as_bytes()));
    if report.would_serve() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILURE) }
}

fn examine(environment: Environment) -> Report {
    let mut report = Report::default();
    let parsed = Config::parse(environment);
    match &parsed {
        Ok(config) => {
            report.ok(Check::Configuration, None, "every variable can be used".to_owned());
            for idle in &config.without_effect {
                report.warning(Check::Variable, Some(idle.name.to_owned()), idle.to_string());
            }
            for doubt in &config.doubts {
                report.warning(Check::Variable, Some(doubt.name.to_owned()), doubt.to_string());
            }
        }
        Err(refused) => {
            for problem in &refused.problems {
                let subject = Some(problem.name.to_owned());
                report.failure(Check::Configuration, subject, problem.to_string());
            }
        }
    }
    for misspelt in Misspelt::of_process() {
        let detail = misspelt.to_string();
        report.warning(Check::Variable, Some(misspelt.name), detail);
    }
    let values = match &parsed {
        Ok(config) => config.values(),
        Err(refused) => refused.values.clone(),
    };
    limits::examine(&values, &mut report);
    ports::examine(&values, &mut report);
    if let Ok(config) = parsed {
        if config.admin.is_none() {
            report.ok(Check::AdminPort, None, "turned off".to_owned());
        }
        targets::examine(&config, &mut report);
    }
    report
}
