use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::thread;

use crate::config::{ConfigError, Misspelt};
use crate::logging::{self, LogFormat};

/// A variable's value cannot be used, and no retry mends that: `EX_CONFIG` of sysexits(3head).
pub(crate) const CONFIG: u8 = 78;

/// All that is in the way may pass, so that a retry may succeed: `EX_TEMPFAIL` of sysexits(3head).
pub(crate) const TEMPORARY: u8 = 75;

/// The machine cannot run the balancer, or the start failed for a reason that is no variable's.
pub(crate) const FAILURE: u8 = 1;

/// A core did not end when it should have: `EX_SOFTWARE` of sysexits(3head).
pub(crate) const STUCK: u8 = 70;

/// Why the process ends before it carried traffic.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The values of variables cannot be used, for good or as things are.
    pub(crate) fn config(error: &ConfigError) -> Self {
        let code = if error.is_temporary() { TEMPORARY } else { CONFIG };
        Self { code, message: error.to_string() }
    }

    /// The same failure, with a line for each variable that may have been meant for another.
    pub(crate) fn with_misspelt(mut self) -> Self {
        for misspelt in Misspelt::of_process() {
            self.message.extend(["\n  ", &misspelt.to_string()]);
        }
        self
    }

    /// Anything else.
    pub(crate) fn other(message: &impl Display) -> Self {
        Self { code: FAILURE, message: message.to_string() }
    }

    /// Says why on standard error, whatever is logged.
    pub(crate) fn report(&self, format: LogFormat) -> ExitCode {
        logging::say(format, &self.message);
        ExitCode::from(self.code)
    }
}

/// Has a panic on any thread end the process with its reason, said as `format` says, unless a guard
/// takes it: then whoever set that tells the reason.
pub(crate) fn abort_on_panic(format: LogFormat) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if control::guard::takes(panic) {
            return;
        }
        match format {
            LogFormat::Text => report(panic),
            LogFormat::Json | LogFormat::Journal => logging::say(format, &last_words(panic)),
        }
        std::process::abort();
    }));
}

/// What the default hook says, too: thread, place and reason; then the backtrace if `RUST_BACKTRACE`
/// asks for one.
fn last_words(panic: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = panic.location().map_or_else(|| "<unknown>".to_owned(), ToString::to_string);
    let reason = panic.payload_as_str().unwrap_or("no reason");
    let mut words = format!("thread '{name}' panicked at {place}: {reason}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        words = format!("{words}\n{backtrace}");
    }
    words
}

#[cfg(test)]
mod tests {
    //! Each test runs this test program again, as the process that panics.

    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    use super::*;

    /// Says that the test is the process that panics.
    const CHILD: &str = "SLB_TEST_PANICS";

    /// What becomes of a process whose thread `core-0` panics while it logs as `format` says. `test` is
    /// the calling one.
    fn panicking(test: &str, format: LogFormat) -> Output {
        if std::env::var_os(CHILD).is_some() {
            abort_on_panic(format);
            let core = || panic!("a reason with a \"quote\"");
            let core = thread::Builder::new().name("core-0".to_owned()).spawn(core).unwrap();
            panic!("it was not ended: {:?}", core.join());
        }
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", test, "--nocapture", "--test-threads=1"]);
        child.env(CHILD, "1").env_remove("RUST_BACKTRACE").output().unwrap()
    }

    #[track_caller]
    fn last_words_of(ended: &Output) -> String {
        assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
        String::from_utf8(ended.stderr.clone()).unwrap()
    }

    #[test]
    fn a_panic_ends_the_process_with_its_reason() {
        let ended =
            panicking("exit::tests::a_panic_ends_the_process_with_its_reason", LogFormat::Text);
        let words = last_words_of(&ended);
        assert!(
            words.contains("thread 'core-0'") && words.contains("panicked at src/exit"),
            "{words}"
        );
        assert!(words.contains("a reason with a \"quote\""), "{words}");
    }

    #[test]
    fn a_panic_is_an_object_where_log_lines_are() {
        let ended =
            panicking("exit::tests::a_panic_is_an_object_where_log_lines_are", LogFormat::Json);
        let words = last_words_of(&ended);
        let object: serde_json::Value = serde_json::from_str(&words).expect("one object, one line");
        assert_eq!(object["level"], "ERROR");
        let message = object["msg"].as_str().unwrap();
        assert!(message.starts_with("thread 'core-0' panicked at src/exit.rs:"), "{message}");
        assert!(message.ends_with(": a reason with a \"quote\""), "{message}");
    }
}
