//! What would keep the balancer from serving: one list of findings, for the start and for the `check`
//! subcommand.

mod availability;
#[cfg(feature = "aws")]
mod aws;
mod findings;
mod host;
mod instance;
mod limits;
mod machine;
mod ports;
mod report;
mod targets;
mod zone;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::config::{Config, ConfigError, Environment, Misspelt, ParsedValues, Refused};
use crate::exit::{self, Failure};
use findings::{Check, Finding, Findings, Status};
use host::Host;
use limits::Capacity;
use ports::Purpose;

pub(crate) use limits::explain;

/// Looks whether this machine lets the balancer start, and raises the limits as far as they go. What
/// is worth a line without being in the way is logged.
///
/// # Errors
/// All that the machine lacks, else all values that it does not go with.
pub(crate) fn check_before_start(values: &ParsedValues) -> Result<Capacity, Failure> {
    let Host { findings, capacity } = Host::examine(values, Purpose::Start);
    let failures = || findings.list.iter().filter(|finding| finding.status == Status::Failure);
    let causes = failures().filter(|finding| finding.problem.is_none());
    let causes: Vec<_> = causes.map(|finding| finding.detail.as_str()).collect();
    let problems: Vec<_> = failures().filter_map(|finding| finding.problem.clone()).collect();
    match capacity.filter(|_| causes.is_empty()) {
        None => Err(Failure::other(&format!("cannot run here:\n  {}", causes.join("\n  ")))),
        Some(_) if !problems.is_empty() => Err(Failure::config(&ConfigError(problems))),
        Some(capacity) => {
            findings.list.iter().for_each(log);
            Ok(capacity)
        }
    }
}

/// Warnings, and how many clients there is room for.
fn log(finding: &Finding) {
    match (finding.status, finding.check) {
        (Status::Warning, _) => log::warn!("{}", finding.detail),
        (Status::Ok, Check::Nofile) => log::info!("{}", finding.detail),
        _ => {}
    }
}

/// All that is wrong with a configuration, on any machine and on this one.
pub(crate) fn all_wrong(refused: Refused) -> ConfigError {
    let Refused { mut problems, values } = refused;
    let found = Host::examine(&values, Purpose::Start).findings.list;
    problems.extend(found.into_iter().filter_map(|finding| finding.problem));
    ConfigError(problems)
}

/// Whether the balancer would serve as configured: `stateless-load-balancer check`. Checks all that
/// can be checked without serving anybody, and prints what was found: as a table, or as JSON.
pub(crate) fn check(environment: &Environment, json: bool) -> ExitCode {
    let findings = examine(environment);
    let text = if json { report::json(&findings) } else { report::table(&findings) };
    // With standard output closed, the exit status has to say it all.
    drop(io::stdout().write_all(text.as_bytes()));
    if findings.would_serve() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILURE) }
}

fn examine(environment: &Environment) -> Findings {
    let mut findings = Findings::default();
    let parsed = Config::parse(environment);
    note_variables(&parsed, &mut findings);
    let values = match &parsed {
        Ok(config) => config.values(),
        Err(refused) => refused.values.clone(),
    };
    let host = Host::examine(&values, Purpose::Report);
    findings.list.extend(host.findings.list);
    if let Ok(config) = parsed {
        if config.admin.is_none() {
            findings.ok(Check::AdminPort, None, "turned off".to_owned());
        }
        // Where there are too few descriptors, the host checks say so.
        let probes_max = host.capacity.map_or(1, |capacity| capacity.probes_max);
        targets::examine(&config, probes_max, &mut findings);
    }
    findings
}

/// What is wrong with variables, and what is to be said of those that can be used.
fn note_variables(parsed: &Result<Config, Box<Refused>>, findings: &mut Findings) {
    match parsed {
        Ok(config) => {
            findings.ok(Check::Configuration, None, "every variable can be used".to_owned());
            for remark in &config.remarks {
                let (subject, detail) = (Some(remark.name.to_owned()), remark.to_string());
                if remark.is_warning {
                    findings.warning(Check::Variable, subject, detail);
                } else {
                    findings.ok(Check::Variable, subject, detail);
                }
            }
        }
        Err(refused) => {
            for problem in &refused.problems {
                let subject = Some(problem.name.clone().into_owned());
                findings.refused(Check::Configuration, subject, problem.clone());
            }
        }
    }
    for misspelt in Misspelt::of_process() {
        let detail = misspelt.to_string();
        findings.warning(Check::Variable, Some(misspelt.name), detail);
    }
}
