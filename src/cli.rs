//! The command line.

use std::fmt::Write;

use crate::config::variable::TABLE;

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Balance, as the environment says.
    Run,
    /// Show the balancer at work with targets of its own.
    Demo,
    /// Find out whether it would serve, as the environment says.
    Check {
        /// For programs instead of people.
        json: bool,
    },
}

/// Parses the arguments of this process. `--help`, `--version` and bad arguments end it here.
pub(crate) fn parse() -> Command {
    match command().get_matches().subcommand() {
        Some(("demo", _)) => Command::Demo,
        Some(("check", arguments)) => Command::Check { json: arguments.get_flag("json") },
        _ => Command::Run,
    }
}

fn command() -> clap::Command {
    let demo = clap::Command::new("demo")
        .about("Start four small targets on loopback, the balancer before them, and show them");
    clap::Command::new(env!("CARGO_PKG_NAME"))
        .version(env!("CARGO_PKG_VERSION"))
        .about("A stateless TCP load balancer, configured by environment variables alone")
        .subcommand(demo)
        .subcommand(check_command())
        // A variable's line must not be broken.
        .term_width(0)
        .after_help(variables())
}

fn check_command() -> clap::Command {
    let json = clap::Arg::new("json")
        .long("json")
        .action(clap::ArgAction::SetTrue)
        .help("Print one JSON object instead of a table");
    clap::Command::new("check")
        .about("Check, without serving anybody, whether the balancer would serve as configured")
        .arg(json)
        .after_help(
            "It checks the variables, the kernel, io_uring, limits and ports, looks for targets \
             once and probes each of them once. Variables are those of the balancer: see \
             stateless-load-balancer --help.\n\nExit status: 0 if it would serve, perhaps with \
             warnings; 1 if something would keep it from serving, or no target passes its health \
             check.",
        )
}

/// One line for each variable: name, default and meaning, two blanks or more between them.
fn variables() -> String {
    let longest = |column: fn(&str, &str) -> usize| {
        TABLE.iter().map(|v| column(v.name, v.default.as_str())).max().unwrap_or_default()
    };
    let name_width = longest(|name, _| name.len());
    let default_width = longest(|_, default| default.chars().count());
    let mut text = String::from("Environment variables (name, default, meaning):\n");
    for variable in TABLE {
        let default = variable.default.as_str();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:name_width$}  {default:default_width$}  {}",
            variable.name, variable.meaning,
        );
    }
    text.push_str(
        "\nA time is a whole number in the unit shown, or has its own: 500ms, 2s, 5m, 1h. An \
         empty variable counts as unset.",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
