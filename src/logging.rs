//! Log lines on standard error.

use std::fmt::Write as _;
use std::io::{self, Write};

use env_logger::Target;
use env_logger::fmt::Formatter;
use log::{LevelFilter, Record};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `time level target: message`, control characters escaped.
    Text,
    /// One JSON object a line: `ts`, `level`, `target`, `msg`.
    Json,
}

/// Whether `RUST_LOG` may name this module alone. Deeper ones are told by their colons.
pub(crate) fn is_module(name: &str) -> bool {
    MODULES.contains(&name) || name.starts_with("aws_")
}

/// Modules that log; those of the AWS SDK go by their prefix.
const MODULES: &[&str] = &[
    "control",
    "dataplane",
    "exchange",
    "stateless_load_balancer",
    "connection",
    "axum",
    "glommio",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio",
    "tower",
    "tracing",
    "ureq",
    "ureq_proto",
];

/// What is said elsewhere in words that name the remedy, unless somebody asks for it.
const QUIET: &str = "glommio";

/// Starts logging what `filter` (in the syntax of `RUST_LOG`) lets through. Lines that cannot be
/// written are lost; that a log reader went away is no reason to stop carrying traffic.
pub(crate) fn start(format: LogFormat, filter: &str) {
    init(Target::Stderr, format, filter);
}

/// As [`start`], but lines go to `out`, each in one piece.
pub(crate) fn start_to(out: Box<dyn Write + Send>, format: LogFormat, filter: &str) {
    init(Target::Pipe(out), format, filter);
}

fn init(target: Target, format: LogFormat, filter: &str) {
    let mut builder = env_logger::Builder::new();
    builder.target(target);
    builder.filter_module(QUIET, quiet_level(filter));
    builder.parse_filters(filter).format(move |out, record| write_line(out, record, format));
    // Fails only where a logger is set already: then that one goes on.
    drop(builder.try_init());
}

/// `off` stays off; a directive for the module itself comes later and holds.
fn quiet_level(filter: &str) -> LevelFilter {
    env_filter::Builder::new().parse(filter).build().filter().min(LevelFilter::Error)
}

fn write_line(out: &mut Formatter, record: &Record<'_>, format: LogFormat) -> io::Result<()> {
    let time = out.timestamp_millis();
    let (level, target) = (record.level(), record.target());
    let mut escaped = Escaped { text: String::new(), format };
    // A String takes everything; an error is one of the arguments' own Display.
    let complete = write!(escaped, "{}", record.args()).is_ok();
    let message = if complete { escaped.text.as_str() } else { "(message cannot be formatted)" };
    match format {
        LogFormat::Text => writeln!(out, "{time} {level:5} {target}: {message}"),
        LogFormat::Json => writeln!(
            out,
            r#"{{"ts":"{time}","level":"{level}","target":"{target}","msg":"{message}"}}"#
        ),
    }
}

/// Escapes what is written to it, as JSON strings (RFC 8259, section 7) or for a terminal.
struct Escaped {
    text: String,
    format: LogFormat,
}

impl std::fmt::Write for Escaped {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            match (self.format, c) {
                (LogFormat::Json, '"' | '\\') => {
                    self.text.push('\\');
                    self.text.push(c);
                }
                (LogFormat::Json, c) if c.is_control() => {
                    write!(self.text, "\\u{:04x}", u32::from(c))?;
                }
                (LogFormat::Text, c) if c.is_control() => {
                    self.text.extend(c.escape_default());
                }
                (_, c) => self.text.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, format: LogFormat) -> String {
        let mut escaped = Escaped { text: String::new(), format };
        escaped.write_str(text).unwrap();
        escaped.text
    }

    #[test]
    fn control_characters_cannot_forge_lines() {
        assert_eq!(escaped("a\nb\x1b[1m\"é\"", LogFormat::Text), "a\\nb\\u{1b}[1m\"é\"");
        assert_eq!(escaped("a\nb\x1b\u{85}", LogFormat::Json), "a\\u000ab\\u001b\\u0085");
        assert_eq!(escaped(r#"say "\""#, LogFormat::Json), r#"say \"\\\""#);
    }
}
