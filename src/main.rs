//! A stateless TCP load balancer: forwards client connections to targets that pass their health
//! checks. README.md says how to use it, ARCHITECTURE.md how it is made.

mod cli;
mod config;
mod demo;
mod exit;
mod logging;
mod preflight;
mod run;
mod runtime;
mod signals;
mod sockets;
mod systemd;

use std::process::ExitCode;

use cli::Command;
use config::Environment;

fn main() -> ExitCode {
    let environment = Environment::of_process();
    let log_format = environment.log_format();
    exit::abort_on_panic(log_format);
    let ended = match cli::parse() {
        Command::Run => run::run(environment),
        Command::Demo => demo::run(environment),
        Command::Check { json } => return preflight::check(&environment, json),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(log_format),
    }
}
