//! Log lines on standard error.

use std::fmt::Write as _;
use std::io::{self, Write};

use env_logger::Target;
use env_logger::fmt::Formatter;
use log::kv::{Error, Key, Value, VisitSource, VisitValue};
use log::{Level, LevelFilter, Log, Record};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// `time level module: message key=value …`, control characters escaped.
    Text,
    /// The same for systemd's journal, which has its own time and reads what a line begins with:
    /// `<priority>level module: …` (sd-daemon(3)).
    Journal,
    /// One JSON object a line: `ts`, `level`, `module`, `msg`, and a member for each key of the line.
    Json,
}

/// Whether `RUST_LOG` may name this module, or one within it, or what the names of several begin with.
pub(crate) fn is_module(name: &str) -> bool {
    let is_within =
        |known: &&str| known.starts_with(name) || name.split("::").next() == Some(known);
    OWN_MODULES.iter().chain(FOREIGN_MODULES).any(is_within) || name.starts_with("aws")
}

/// Modules that log, and what is logged of connections and by the demo.
pub(crate) const OWN_MODULES: &[&str] =
    &["control", "dataplane", "exchange", "stateless_load_balancer", "connection", "demo"];

/// Those of libraries; the ones of the AWS SDK go by their prefix.
const FOREIGN_MODULES: &[&str] = &[
    "axum",
    "glommio",
    "h2",
    "hyper",
    "hyper_util",
    "jiff",
    "mio",
    "rustls",
    "thread_priority",
    "tokio",
    "tower",
    "tracing",
    "ureq",
    "ureq_proto",
];

/// What modules log of which `RUST_LOG` says nothing: naming one must not silence the others.
const UNNAMED: LevelFilter = LevelFilter::Warn;

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
    let level = global_level(filter).unwrap_or(UNNAMED);
    // Directives of the filter come later and hold.
    builder.filter_level(level).filter_module(QUIET, level.min(LevelFilter::Error));
    builder.parse_filters(filter).format(move |out, record| write_line(out, record, format));
    // Fails only where a logger is set already: then that one goes on.
    drop(builder.try_init());
}

/// What the filter says of all modules that it does not name.
fn global_level(filter: &str) -> Option<LevelFilter> {
    directives(filter).filter_map(|word| word.parse().ok()).last()
}

/// The parts of a filter: levels, modules, or modules with their levels. What follows the slash is a
/// pattern.
pub(crate) fn directives(filter: &str) -> impl Iterator<Item = &str> {
    let directives = filter.split('/').next().unwrap_or_default().split(',');
    directives.map(str::trim).filter(|word| !word.is_empty())
}

/// Writes `message` to standard error, whether logging has been started or not, and whatever is
/// logged: in JSON an object for each of its lines.
pub(crate) fn say(format: LogFormat, message: &str) {
    let prefix = format!("{}: ", env!("CARGO_PKG_NAME"));
    if format != LogFormat::Json {
        let text = format!("{prefix}{message}\n");
        let text = match format {
            LogFormat::Journal => {
                let head = format!("<{}>", priority(Level::Error));
                text.split_inclusive('\n').flat_map(|line| [&head, line]).collect()
            }
            _ => text,
        };
        // With standard error closed, the exit status has to say it all.
        drop(io::stderr().write_all(text.as_bytes()));
        return;
    }
    let mut builder = env_logger::Builder::new();
    builder.target(Target::Stderr).filter_level(LevelFilter::Error);
    let logger = builder.format(move |out, record| write_line(out, record, format)).build();
    for line in message.lines() {
        let mut record = Record::builder();
        record.level(Level::Error).target(env!("CARGO_CRATE_NAME"));
        logger.log(&record.args(format_args!("{}", line.trim_start())).build());
    }
}

/// As syslog(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn write_line(out: &mut Formatter, record: &Record<'_>, format: LogFormat) -> io::Result<()> {
    let time = out.timestamp_millis();
    let (level, module) = (record.level(), record.target());
    let mut message = Escaped { text: String::new(), format };
    // A String takes everything; an error is one of the arguments' own Display.
    if write!(message, "{}", record.args()).is_err() {
        "(message cannot be formatted)".clone_into(&mut message.text);
    }
    let message = message.text;
    let mut fields = Fields(Escaped { text: String::new(), format });
    let are_complete = record.key_values().visit(&mut fields).is_ok();
    let fields = if are_complete { fields.0.text.as_str() } else { "" };
    match format {
        LogFormat::Text => writeln!(out, "{time} {level:5} {module}: {message}{fields}"),
        LogFormat::Journal => {
            let priority = priority(level);
            writeln!(out, "<{priority}>{level:5} {module}: {message}{fields}")
        }
        LogFormat::Json => writeln!(
            out,
            r#"{{"ts":"{time}","level":"{level}","module":"{module}","msg":"{message}"{fields}}}"#
        ),
    }
}

/// Collects the keys and values of a line: numbers as numbers, what is missing as `-` or null.
struct Fields(Escaped);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        match self.0.format {
            LogFormat::Text | LogFormat::Journal => {
                self.0.text.push(' ');
                self.0.write_str(key.as_str())?;
                self.0.text.push('=');
            }
            LogFormat::Json => {
                self.0.text.push_str(",\"");
                self.0.write_str(key.as_str())?;
                self.0.text.push_str("\":");
            }
        }
        value.visit(self)
    }
}

impl VisitValue<'_> for Fields {
    fn visit_any(&mut self, value: Value<'_>) -> Result<(), Error> {
        let quote = if self.0.format == LogFormat::Json { "\"" } else { "" };
        self.0.text.push_str(quote);
        write!(self.0, "{value}")?;
        self.0.text.push_str(quote);
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.0.text.push_str(if self.0.format == LogFormat::Json { "null" } else { "-" });
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        Ok(write!(self.0.text, "{value}")?)
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        Ok(write!(self.0.text, "{value}")?)
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        Ok(write!(self.0.text, "{value}")?)
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
                (_, c) if c.is_control() => {
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
    fn keys_and_values_stand_behind_the_message_or_as_members() {
        let pairs = [
            ("who", Value::from("a \"b\"\n")),
            ("count", Value::from(3_usize)),
            ("shown", Value::from_display(&"x\ty")),
            ("target", Value::null()),
        ];
        let text = |format| {
            let mut fields = Fields(Escaped { text: String::new(), format });
            log::kv::Source::visit(&pairs, &mut fields).unwrap();
            fields.0.text
        };
        assert_eq!(text(LogFormat::Text), r#" who=a "b"\n count=3 shown=x\ty target=-"#);
        assert_eq!(
            text(LogFormat::Json),
            r#","who":"a \"b\"\u000a","count":3,"shown":"x\u0009y","target":null"#
        );
    }

    #[test]
    fn control_characters_cannot_forge_lines() {
        assert_eq!(escaped("a\nb\x1b[1m\"é\"", LogFormat::Text), "a\\nb\\u{1b}[1m\"é\"");
        assert_eq!(escaped("a\nb\x1b\u{85}", LogFormat::Json), "a\\u000ab\\u001b\\u0085");
        assert_eq!(escaped(r#"say "\""#, LogFormat::Json), r#"say \"\\\""#);
    }
}
