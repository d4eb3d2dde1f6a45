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
}

/// Parses the arguments of this process. `--help`, `--version` and bad arguments end it here.
pub(crate) fn parse() -> Command {
    match command().get_matches().subcommand_name() {
        Some("demo") => Command::Demo,
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
        // A variable's line must not be broken.
        .term_width(0)
        .after_help(variables())
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
