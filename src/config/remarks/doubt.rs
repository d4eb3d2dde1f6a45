use std::time::Duration;

use super::remark::Remark;
use crate::config::environment::Environment;
use crate::config::table::CIRCUIT_BREAKER_TIMEOUT;

/// Longer than anybody wants to wait for a target that can be connected to again: probably seconds
/// were meant, as they are wherever else a time has no unit.
const BREAKER_TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// Values that can be used and are hardly meant.
pub(super) fn doubts(environment: &Environment, breaker_timeout: Duration) -> Option<Remark> {
    let written = environment.written(&CIRCUIT_BREAKER_TIMEOUT.row);
    let written = written.filter(|_| breaker_timeout > BREAKER_TIMEOUT_MAX)?;
    let (name, text) = (written.name, written.text);
    let minutes = breaker_timeout.as_secs() / 60;
    let why = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{name}={text} is {minutes} minutes: for seconds, set {name}={text}s")
    } else {
        format!("{name}={text} is {minutes} minutes, which is long")
    };
    Some(Remark::warning(name, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_that_may_be_meant_as_seconds_are_doubted() {
        let doubts = |timeout: &str| {
            let variables = [("CIRCUIT_BREAKER_TIMEOUT".into(), timeout.into())];
            let environment: Environment = variables.into_iter().collect();
            let timeout = environment.get(&CIRCUIT_BREAKER_TIMEOUT);
            let timeout = (CIRCUIT_BREAKER_TIMEOUT.parse)(timeout).unwrap();
            doubts(&environment, timeout).map(|remark| remark.to_string())
        };
        for timeout in ["", "5", "10", "600s", "10m"] {
            assert_eq!(doubts(timeout), None, "{timeout}");
        }
        assert_eq!(
            doubts("30").as_deref(),
            Some(
                "CIRCUIT_BREAKER_TIMEOUT=30 is 30 minutes: for seconds, set CIRCUIT_BREAKER_TIMEOUT=30s"
            )
        );
        assert_eq!(
            doubts("1h").as_deref(),
            Some("CIRCUIT_BREAKER_TIMEOUT=1h is 60 minutes, which is long")
        );
    }
}
