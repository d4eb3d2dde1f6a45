use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};

use super::error_chain::{chain, one_line};
use super::transport::Sightings;
use super::{credentials, denial};
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::ec2::timeouts::Timeouts;

/// Codes of errors about too many requests, those of EC2 and Auto Scaling first.
const THROTTLED: [&str; 10] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "SlowDown",
];

/// Codes of errors about what the caller may do.
const DENIED: [&str; 4] =
    ["UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "NotAuthorized"];

/// Codes of errors about who the caller is.
const NOT_RECOGNIZED: [&str; 11] = [
    "AuthFailure",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidAccessKeyId",
];

/// What the SDK's error comes to. `asked` is what was seen of who was asked for credentials.
pub(super) fn fault<E>(
    error: &SdkError<E, HttpResponse>,
    action: &'static str,
    asked: &Sightings,
    timeouts: &Timeouts,
    settings: &AwsSettings,
) -> Fault
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let kind = kind(error);
    let new = || Fault::new(kind, action, reason(error), settings);
    match (error, kind) {
        // The attempt or all of them, connected. What cannot be connected to in time is another error.
        (SdkError::TimeoutError(_), _) => {
            Fault::timed_out(action, timeouts.is_answered, timeouts.attempt, settings)
        }
        (SdkError::ServiceError(answer), FaultKind::Denied) => {
            let message = answer.err().message().unwrap_or_default();
            match denial::remedy(message, action) {
                Some(remedy) => new().mended_by(remedy),
                None => new(),
            }
        }
        (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), FaultKind::Other) => {
            Fault::unsent(action, reason(error), settings)
        }
        (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), _)
            if kind == FaultKind::NoCredentials =>
        {
            credentials::fault(error, new(), asked, settings)
        }
        _ => new(),
    }
}

fn kind<E>(error: &SdkError<E, HttpResponse>) -> FaultKind
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::TimeoutError(_) => FaultKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => FaultKind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_io() => FaultKind::Unreachable,
        // The connection ended before a whole answer.
        SdkError::DispatchFailure(failure) if failure.as_other().is_some() => {
            FaultKind::Unreachable
        }
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            if is_about_credentials(error) { FaultKind::NoCredentials } else { FaultKind::Other }
        }
        SdkError::ServiceError(answer) => {
            kind_of_answer(answer.err().code(), answer.raw().status().as_u16())
        }
        SdkError::ResponseError(answer) => kind_of_answer(None, answer.raw().status().as_u16()),
        _ => FaultKind::Other,
    }
}

fn kind_of_answer(code: Option<&str>, status: u16) -> FaultKind {
    let is_one_of = |codes: &[&str]| code.is_some_and(|code| codes.contains(&code));
    if is_one_of(&THROTTLED) {
        FaultKind::Throttled
    } else if is_one_of(&DENIED) {
        FaultKind::Denied
    } else if is_one_of(&NOT_RECOGNIZED) {
        FaultKind::NoCredentials
    } else {
        match status {
            429 => FaultKind::Throttled,
            500..=599 => FaultKind::ServerError,
            401 | 403 => FaultKind::Denied,
            // Redirects are not followed: AWS does not send any.
            200..=399 => FaultKind::Malformed,
            _ => FaultKind::Other,
        }
    }
}

fn is_about_credentials(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|cause| {
        // The cache of identities has an error of its own for its timeout, and no name for it.
        cause.is::<CredentialsError>() || cause.to_string().starts_with("identity resolver")
    })
}

/// The causes, each said once, in one line.
fn reason<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let SdkError::ServiceError(answer) = error
        && let Some(code) = answer.err().code()
    {
        let message = answer.err().message().unwrap_or_default();
        return one_line(&format!("{code} {message}"));
    }
    let mut reason = String::new();
    if let Some(response) = error.raw_response() {
        reason = format!("HTTP status {}", response.status().as_u16());
    }
    for cause in chain(error).map(ToString::to_string) {
        if !reason.contains(&cause) {
            reason = if reason.is_empty() { cause } else { format!("{reason}: {cause}") };
        }
    }
    one_line(&reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_before_statuses() {
        for (code, status, kind) in [
            (Some("RequestLimitExceeded"), 503, FaultKind::Throttled),
            (Some("Throttling"), 400, FaultKind::Throttled),
            (Some("UnauthorizedOperation"), 403, FaultKind::Denied),
            (Some("AccessDenied"), 403, FaultKind::Denied),
            (Some("AuthFailure"), 401, FaultKind::NoCredentials),
            (Some("ExpiredToken"), 403, FaultKind::NoCredentials),
            (Some("InternalError"), 500, FaultKind::ServerError),
            (Some("Unavailable"), 503, FaultKind::ServerError),
            (Some("InvalidParameterValue"), 400, FaultKind::Other),
            (None, 500, FaultKind::ServerError),
            (None, 429, FaultKind::Throttled),
            (None, 403, FaultKind::Denied),
            (None, 200, FaultKind::Malformed),
            (None, 301, FaultKind::Malformed),
            (None, 404, FaultKind::Other),
        ] {
            assert_eq!(kind_of_answer(code, status), kind, "{code:?} {status}");
        }
    }
}
