//! The command line.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process;

use crate::config::Misspelt;
use crate::config::table;

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
    let arguments: Vec<_> = std::env::args_os().collect();
    let matches = command().try_get_matches_from(&arguments);
    let matches = matches.unwrap_or_else(|error| {
        let words = arguments.iter().skip(1).map(|word| word.to_string_lossy());
        let hint = hint(&words.collect::<Vec<_>>()).filter(|_| error.use_stderr());
        // Where nobody reads them, the exit status has to say it all.
        drop(error.print());
        if let Some(hint) = hint {
            drop(writeln!(io::stderr(), "\n{hint}"));
        }
        process::exit(error.exit_code())
    });
    match matches.subcommand() {
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

/// What to set, where an argument is the name of a variable in some form: `--port 80`,
/// `--target-port=80`, `PORT=80`.
fn hint(words: &[impl AsRef<str>]) -> Option<String> {
    let mut words = words.iter().map(AsRef::as_ref).peekable();
    while let Some(word) = words.next() {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, words.peek().copied().filter(|next| !next.starts_with('-'))),
        };
        let is_option = name.starts_with("--");
        let name = name.trim_start_matches("--").replace('-', "_").to_ascii_uppercase();
        let Some(name) = Misspelt::name_of(&name).filter(|_| is_option || word.contains('='))
        else {
            continue;
        };
        let value = value.unwrap_or("…").escape_debug();
        return Some(format!(
            "set {name}={value} in the environment: variables configure the balancer, as in\n\n  \
             {name}={value} {}",
            env!("CARGO_PKG_NAME")
        ));
    }
    None
}

/// One line for each variable: name, default and meaning, two blanks or more between them.
fn variables() -> String {
    let longest = |column: fn(&str, &str) -> usize| {
        table::rows().map(|row| column(row.name, row.default.as_str())).max().unwrap_or_default()
    };
    let name_width = longest(|name, _| name.len());
    let default_width = longest(|_, default| default.chars().count());
    let mut text = String::from("Environment variables (name, default, meaning):\n");
    for row in table::rows() {
        let default = row.default.as_str();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:name_width$}  {default:default_width$}  {}",
            row.name,
            row.description(),
        );
    }
    text.push_str(
        "\nA time is a whole number in the unit shown, or has its own: 500ms, 2s, 5m, 1h. Blanks \
         around a value are no part of it, and an empty variable counts as unset.",
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

    #[test]
    fn an_argument_that_is_a_variable_says_what_to_set() {
        for (words, set) in [
            (&["--port", "80"][..], Some("set PORT=80 in")),
            (&["--port=80"], Some("set PORT=80 in")),
            (&["check", "--target-port", "80"], Some("set TARGET_PORT=80 in")),
            (&["PORT=80"], Some("set PORT=80 in")),
            (&["--target", "10.0.0.1"], Some("set TARGETS=10.0.0.1 in")),
            (&["--log-level=debug"], Some("set RUST_LOG=debug in")),
            (&["--connect-timeout=3"], Some("set POOL_TIMEOUT=3 in")),
            (&["--cores"], Some("set CORES=… in")),
            (&["--port", "--host"], Some("set PORT=… in")),
            (&["--verbose"], None),
            (&["port"], None),
            (&["dema", "-x"], None),
        ] {
            let hint = hint(words);
            assert_eq!(hint.is_some(), set.is_some(), "{words:?}: {hint:?}");
            if let (Some(hint), Some(set)) = (hint, set) {
                assert!(hint.starts_with(set), "{words:?}: {hint}");
            }
        }
    }
}
