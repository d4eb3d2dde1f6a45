//! Which availability zone the balancer itself is in.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use ureq::http::{Response, StatusCode, Uri};
use ureq::{Agent, Body, Error};

use crate::controller::event::Event;
use crate::log_lines::escaped::{Escaped, Quoted};
use crate::threads::guard;

/// How the own zone is found.
#[derive(Clone, Debug)]
pub enum ZoneSettings {
    /// Not at all: all zones are alike.
    Ignored,
    /// It is this one.
    Known(Arc<str>),
    /// By asking the instance metadata service, as long as it takes.
    Metadata(Endpoint),
}

/// Longest name of a zone, in bytes: as that of a target's.
const NAME_BYTES_MAX: usize = 255;
/// Whole requests to the metadata service, which is on the same machine or not there at all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two attempts, doubled after each.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_mins(1);
/// Tokens are some 60 bytes long.
const ANSWER_BYTES_MAX: u64 = 1024;
/// It is used once, at once; the shortest allowed is 1 s.
const TOKEN_TTL_SECONDS: &str = "60";

/// A zone's name as it can stand in a list of targets or come from AWS.
///
/// # Errors
/// A phrase that says what is wrong and what is accepted.
pub fn parse_name(text: &str) -> Result<Arc<str>, String> {
    let fits = !text.is_empty() && text.len() <= NAME_BYTES_MAX;
    if fits && text.trim() == text && !text.contains(char::is_control) {
        return Ok(text.into());
    }
    Err(format!(
        "is no zone; accepted: 1 to {NAME_BYTES_MAX} bytes without control characters and without \
         blanks at either end, such as eu-west-1a"
    ))
}

/// Where the instance metadata service is: `http://` and a host, with a port where it is not 80.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            "is no address of a metadata service; accepted: http://host[:port], such as \
             http://169.254.169.254"
                .to_owned()
        };
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let is_plain =
            uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
        let authority =
            uri.authority().filter(|it| !it.host().is_empty() && !it.as_str().contains('@'));
        match authority {
            Some(authority) if is_plain => Ok(Self(format!("http://{authority}"))),
            _ => Err(refused()),
        }
    }
}

/// Tells the controller the own zone, once it is known.
pub(crate) async fn run(settings: ZoneSettings, events: mpsc::Sender<Event>) {
    let zone = match settings {
        ZoneSettings::Ignored => return,
        ZoneSettings::Known(zone) => zone,
        ZoneSettings::Metadata(endpoint) => match ask_until_known(&endpoint).await {
            Some(zone) => zone,
            None => return,
        },
    };
    log::info!("this balancer is in zone {}, and prefers targets there", Quoted(&zone));
    // Fails only when everything ends.
    let _ = events.send(Event::Located(zone)).await;
}

/// Asks the metadata service at `endpoint` once. Blocks its thread, for some seconds at most.
///
/// # Errors
/// The line that a start would log.
pub fn ask_once(endpoint: &Endpoint) -> Result<Arc<str>, String> {
    ask(endpoint).map_err(|reason| not_known(endpoint, &reason))
}

fn ask(endpoint: &Endpoint) -> Result<Arc<str>, String> {
    let asked = guard::call(|| Client::new(endpoint).zone());
    asked.unwrap_or_else(|panicked| Err(panicked.to_string()))
}

fn not_known(endpoint: &Endpoint, reason: &str) -> String {
    format!(
        "the own zone is not known, so none is preferred: instance metadata at {}: {reason}; set \
         AVAILABILITY_ZONE where there is no IMDSv2, or raise its hop limit to 2 for containers",
        endpoint.0,
    )
}

/// None when the runtime is shutting down.
async fn ask_until_known(endpoint: &Endpoint) -> Option<Arc<str>> {
    let mut delay = FIRST_DELAY;
    loop {
        let asked = endpoint.clone();
        // tokio panics where there is no thread, and none can be started.
        let asked = guard::call(|| tokio::task::spawn_blocking(move || ask(&asked)));
        let asked = match asked {
            Ok(asked) => asked.await.ok()?,
            Err(panicked) => Err(panicked.to_string()),
        };
        let reason = match asked {
            Ok(zone) => return Some(zone),
            Err(reason) => reason,
        };
        if delay == FIRST_DELAY {
            log::warn!("{}; meanwhile it is asked again and again", not_known(endpoint, &reason));
        } else {
            log::debug!("instance metadata: {reason}");
        }
        tokio::time::sleep(delay).await;
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

/// Speaks version 2 of the protocol (`IMDSv2`): a token first, then what it is needed for. Version 1
/// is never tried.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html>
struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    fn new(endpoint: &Endpoint) -> Self {
        let config = Agent::config_builder()
            // Never through a proxy: it would answer for its own machine.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build();
        Self { agent: config.into(), base: format!("{}/latest", endpoint.0) }
    }

    fn zone(&self) -> Result<Arc<str>, String> {
        let token = self
            .agent
            .put(format!("{}/api/token", self.base))
            .header("X-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_SECONDS)
            .send_empty();
        let token = text_of(token)?;
        let zone = self
            .agent
            .get(format!("{}/meta-data/placement/availability-zone", self.base))
            .header("X-aws-ec2-metadata-token", token.trim_end())
            .call();
        let zone = text_of(zone)?;
        let zone = zone.trim_end();
        parse_name(zone).map_err(|_| format!("`{}` is no zone", Escaped(zone)))
    }
}

fn text_of(answer: Result<Response<Body>, Error>) -> Result<String, String> {
    let text = answer.and_then(|mut answer| match answer.status() {
        StatusCode::OK => answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string(),
        status => Err(Error::StatusCode(status.as_u16())),
    });
    text.map_err(|error| match error {
        Error::StatusCode(status) => format!("status {status}"),
        Error::Timeout(_) => format!("no answer within {REQUEST_TIMEOUT:?}"),
        error => Escaped(&error.to_string()).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_printable_names() {
        for name in ["eu-west-1a", "a", "rack 1", "é"] {
            assert_eq!(&*parse_name(name).unwrap(), name);
        }
        for name in ["", " a", "a ", "a\nb", "\u{7f}", &"a".repeat(256)] {
            assert!(parse_name(name).unwrap_err().contains("accepted"), "{name}");
        }
    }

    #[test]
    fn endpoints_are_a_host_and_no_more() {
        for (text, kept) in [
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://169.254.169.254/", "http://169.254.169.254"),
            ("http://[fd00:ec2::254]:81", "http://[fd00:ec2::254]:81"),
            ("http://localhost:1338/", "http://localhost:1338"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().0, kept);
        }
        for text in [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://",
            "http:///",
            "http://:80",
            "http://a@b",
            "http://a/latest",
            "http://a/?b",
            "http://a\nb",
            "/",
        ] {
            assert!(text.parse::<Endpoint>().unwrap_err().contains("accepted"), "{text}");
        }
    }
}
