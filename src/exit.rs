use std::fmt::Display;
use std::process::ExitCode;

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

/// Has a panic on any thread end the process, in builds too that would only end the thread.
pub(crate) fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
