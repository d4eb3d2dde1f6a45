use std::fmt;
use std::time::Duration;

use super::table::{CIRCUIT_BREAKER_TIMEOUT, Raw};

/// A value that can be used and is hardly meant.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub(crate) name: &'static str,
    why: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Longer than anybody wants to wait for a target that can be connected to again: probably seconds
/// were meant, as they are wherever else a time has no unit.
const BREAKER_TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// All of them.
pub(super) fn doubts(raw: &Raw, breaker_timeout: Duration) -> Vec<Doubt> {
    let name = CIRCUIT_BREAKER_TIMEOUT.name;
    let text = raw.circuit_breaker_timeout.as_deref();
    let text = text.filter(|_| breaker_timeout > BREAKER_TIMEOUT_MAX);
    let doubt = text.map(|text| {
        let minutes = breaker_timeout.as_secs() / 60;
        let why = if text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{name}={text} is {minutes} minutes: for seconds, set {name}={text}s")
        } else {
            format!("{name}={text} is {minutes} minutes, which is long")
        };
        Doubt { name, why }
    });
    doubt.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Environment};

    #[test]
    fn minutes_that_may_be_meant_as_seconds_are_doubted() {
        let doubts = |timeout: &str| -> Vec<String> {
            let variables = [
                ("NODE_FILTER", "static"),
                ("TARGETS", "10.0.0.1"),
                ("CIRCUIT_BREAKER_TIMEOUT", timeout),
            ];
            let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
            let config = Config::parse(variables.collect::<Environment>()).unwrap();
            config.doubts.iter().map(ToString::to_string).collect()
        };
        for timeout in ["", "5", "10", "600s", "10m"] {
            assert!(doubts(timeout).is_empty(), "{timeout}");
        }
        assert_eq!(
            doubts("30"),
            [
                "CIRCUIT_BREAKER_TIMEOUT=30 is 30 minutes: for seconds, set CIRCUIT_BREAKER_TIMEOUT=30s"
            ]
        );
        assert_eq!(doubts("1h"), ["CIRCUIT_BREAKER_TIMEOUT=1h is 60 minutes, which is long"]);
    }
}
