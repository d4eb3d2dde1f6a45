use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature as Feature;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};

use super::error_chain::{chain, one_line};
use super::transport::{CredentialSource, Seen, Sighting, Sightings};
use crate::discovery::ec2::fault::Fault;
use crate::discovery::ec2::fault::{OWN_CREDENTIALS, proxies};
use crate::discovery::ec2::settings::AwsSettings;

/// How long looking for credentials may take; it changes.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU64);

impl Patience {
    pub(super) fn set(&self, limit: Duration) {
        self.0.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// Looks where the SDK looks, in bounded time. Refuses what the SDK would panic over: it unwraps the
/// header that credentials go into.
#[derive(Debug)]
pub(super) struct CheckedCredentials {
    pub(super) source: SharedCredentialsProvider,
    pub(super) patience: Arc<Patience>,
    pub(super) asked: Arc<Sightings>,
}

impl CheckedCredentials {
    async fn find(&self) -> provider::Result {
        let limit = self.patience.get();
        let found = tokio::time::timeout(limit, self.source.provide_credentials()).await;
        let found = match found {
            Ok(found) => found?,
            // Good until there are others: the SDK does the same.
            Err(_) => self
                .source
                .fallback_on_interrupt()
                .ok_or_else(|| CredentialsError::provider_timed_out(limit))?,
        };
        match Unsendable::part_of(&found, &self.asked) {
            None => Ok(found),
            Some(part) => Err(CredentialsError::invalid_configuration(part)),
        }
    }
}

impl ProvideCredentials for CheckedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.find())
    }
}

/// A part of credentials that no request can carry. Displayed without any of it.
#[derive(Debug)]
struct Unsendable {
    /// Which part, and where it is from.
    part: String,
    /// The first character that cannot be sent, and its place, from 1.
    character: char,
    place: usize,
}

impl Unsendable {
    fn part_of(credentials: &Credentials, asked: &Sightings) -> Option<Self> {
        let source = Source::of(credentials, asked);
        let token = credentials.session_token().unwrap_or_default();
        // RFC 9110, 5.5: what else may be in a header's value is not in credentials.
        let sent: fn(char) -> bool = |c| c.is_ascii_graphic() || c == ' ';
        // The secret itself is not sent; one with a line end is none all the same.
        let kept: fn(char) -> bool = |c| !c.is_control();
        let parts = [
            ("AWS_ACCESS_KEY_ID", "access key id", credentials.access_key_id(), sent),
            ("AWS_SECRET_ACCESS_KEY", "secret access key", credentials.secret_access_key(), kept),
            ("AWS_SESSION_TOKEN", "session token", token, sent),
        ];
        parts.into_iter().find_map(|(variable, name, text, is_good)| {
            let (place, character) = (1..).zip(text.chars()).find(|(_, c)| !is_good(*c))?;
            let part = match &source {
                Source::Variables => variable.to_owned(),
                Source::Other(source) => format!("the {name} {source}"),
            };
            Some(Self { part, character, place })
        })
    }
}

impl fmt::Display for Unsendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, character, place } = self;
        let kind = if character.is_control() { "a control character" } else { "no ASCII" };
        write!(
            f,
            "{part} cannot be used: its character {place} is U+{:04X}, {kind}",
            u32::from(*character)
        )
    }
}

impl Error for Unsendable {}

/// Where credentials are from.
enum Source {
    Variables,
    /// A phrase for it.
    Other(String),
}

impl Source {
    fn of(credentials: &Credentials, asked: &Sightings) -> Self {
        let features = credentials.get_property::<Vec<Feature>>();
        let has = |any: &[Feature]| features.is_some_and(|its| its.iter().any(|f| any.contains(f)));
        if has(&[Feature::CredentialsEnvVars]) {
            return Self::Variables;
        }
        Self::Other(if has(&[Feature::CredentialsHttp, Feature::CredentialsImds]) {
            match asked.latest() {
                Some(sighting) => format!("that {} gave", sighting.name()),
                None => "that an endpoint for credentials gave".to_owned(),
            }
        } else if has(&[Feature::CredentialsProcess, Feature::CredentialsProfileProcess]) {
            "that the profile's credential_process gave".to_owned()
        } else if has(&[Feature::CredentialsProfile]) {
            "of the profile".to_owned()
        } else {
            "that AWS gave".to_owned()
        })
    }
}

impl Sighting {
    fn name(&self) -> String {
        let what = match self.kind {
            CredentialSource::Metadata => "instance metadata",
            CredentialSource::Container => "the container's endpoint",
            CredentialSource::Portal => "single sign-on",
            CredentialSource::Aws => "AWS",
        };
        format!("{what} at {}", self.endpoint)
    }
}

/// `fault`, which is about credentials for the reason that `error` gives, with what is known of who
/// was `asked` for them and with the remedy for that.
pub(super) fn fault(
    error: &(dyn Error + 'static),
    fault: Fault,
    asked: &Sightings,
    settings: &AwsSettings,
) -> Fault {
    if let Some(part) = chain(error).find_map(|cause| cause.downcast_ref::<Unsendable>()) {
        let remedy = "give it without that character; a line end that was copied with it is the \
            usual cause"
            .to_owned();
        return fault.because(part.to_string()).mended_by(remedy);
    }
    if let Some(remedy) = remedy_of_profile(&fault.reason) {
        return fault.mended_by(remedy);
    }
    let Some(sighting) = asked.latest() else { return fault };
    let seen = match &sighting.seen {
        Seen::Status(200..=299) => return fault,
        Seen::Status(status) => format!("status {status}"),
        Seen::Nothing => "no answer in time".to_owned(),
        Seen::Failed(reason) => reason.clone(),
    };
    let reason = one_line(&format!("{}: {seen}; {}", sighting.name(), fault.reason));
    match remedy_of_endpoint(&sighting, settings) {
        Some(remedy) => fault.because(reason).mended_by(remedy),
        None => fault.because(reason),
    }
}

fn remedy_of_profile(reason: &str) -> Option<String> {
    let remedy = if reason.contains("SSO") {
        SIGN_IN
    } else if reason.contains("external process") {
        "run the profile's credential_process as the balancer's user, and see why it fails"
    } else if reason.contains("cargo feature") {
        "use another kind of profile: that of `aws login` is not supported"
    } else {
        return None;
    };
    Some(remedy.to_owned())
}

const SIGN_IN: &str = "run `aws sso login` with this profile, as the balancer's user and with its \
    HOME; for a server, a role is better: a login ends after some hours";

/// None where that of the fault's kind does.
fn remedy_of_endpoint(sighting: &Sighting, settings: &AwsSettings) -> Option<String> {
    let is_answered = matches!(sighting.seen, Seen::Status(_));
    let remedy = match (sighting.kind, &sighting.seen) {
        (CredentialSource::Metadata, Seen::Status(404)) => {
            format!("it knows of no IAM role: attach one to the instance, or {OWN_CREDENTIALS}")
        }
        (CredentialSource::Metadata, Seen::Status(_)) => {
            "see whether the instance allows IMDSv2 (HttpEndpoint in its metadata options)"
                .to_owned()
        }
        (CredentialSource::Metadata, _) => format!(
            "in a container, raise its hop limit to 2 (HttpPutResponseHopLimit in the instance's \
             metadata options); where there is none, {OWN_CREDENTIALS}"
        ),
        (CredentialSource::Container, _) => "check AWS_CONTAINER_CREDENTIALS_FULL_URI or \
            AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, and the agent that answers there"
            .to_owned(),
        (CredentialSource::Portal, Seen::Status(_)) => SIGN_IN.to_owned(),
        (CredentialSource::Portal | CredentialSource::Aws, _) if !is_answered => format!(
            "check that there is a way from here (NAT gateway or VPC endpoint, security group, \
             DNS){}",
            proxies(settings)
        ),
        (CredentialSource::Portal | CredentialSource::Aws, _) => return None,
    };
    Some(remedy)
}

#[cfg(test)]
mod tests;
