use aws_credential_types::provider::error::CredentialsError;

use super::*;
use crate::discovery::ec2::fault::DESCRIBE_INSTANCES;
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::poll::tests::settings;
use crate::discovery::ec2::settings::AwsSettings;

fn credentials(key: &str, secret: &str, token: &str, feature: Feature) -> Credentials {
    let mut credentials = Credentials::new(key, secret, Some(token.to_owned()), None, "test");
    credentials.set_property(vec![feature]);
    credentials
}

fn refused(credentials: &Credentials) -> Option<String> {
    Unsendable::part_of(credentials, &Sightings::default()).map(|part| part.to_string())
}

#[test]
fn what_no_header_can_hold_is_named_but_not_shown() {
    let of_variables =
        |key, secret, token| refused(&credentials(key, secret, token, Feature::CredentialsEnvVars));
    assert_eq!(of_variables("AKIA1", "s/e+c", "t=="), None);
    let key = of_variables("AKIA\r", "s", "t").unwrap();
    let is = "cannot be used: its character 5 is";
    assert_eq!(key, format!("AWS_ACCESS_KEY_ID {is} U+000D, a control character"));
    let secret = of_variables("AKIA", "ssss\n", "t").unwrap();
    assert_eq!(secret, format!("AWS_SECRET_ACCESS_KEY {is} U+000A, a control character"));
    let token = of_variables("AKIA", "s", "t\u{e9}t").unwrap();
    assert_eq!(token, "AWS_SESSION_TOKEN cannot be used: its character 2 is U+00E9, no ASCII");
    assert!(of_variables("AK\tIA", "s", "t").is_some());
}

#[test]
fn who_gave_it_is_named() {
    for (feature, source) in [
        (Feature::CredentialsProfile, "the access key id of the profile cannot"),
        (
            Feature::CredentialsProcess,
            "the access key id that the profile's credential_process gave",
        ),
        (Feature::CredentialsHttp, "the access key id that an endpoint for credentials gave"),
        (Feature::CredentialsSso, "the access key id that AWS gave"),
    ] {
        let line = refused(&credentials("\n", "s", "t", feature)).unwrap();
        assert!(line.starts_with(source), "{line}");
    }
}

/// What is made of an error about credentials, where `seen` of an endpoint is the latest news.
fn told(reason: &str, seen: Option<Sighting>) -> String {
    let asked = Sightings::default();
    if let Some(seen) = seen {
        asked.note(seen);
    }
    let kind = FaultKind::NoCredentials;
    let error = CredentialsError::provider_error(reason.to_owned());
    let settings = AwsSettings { proxies: vec!["HTTPS_PROXY".to_owned()], ..settings("asg") };
    let plain = Fault::new(kind, DESCRIBE_INSTANCES, reason.to_owned(), &settings);
    fault(&error, plain, &asked, &settings).to_string()
}

fn metadata(seen: Seen) -> Sighting {
    let endpoint = "http://169.254.169.254".to_owned();
    Sighting { endpoint, kind: CredentialSource::Metadata, seen }
}

#[test]
fn a_metadata_service_that_does_not_answer_is_named_with_its_hop_limit() {
    for seen in [Seen::Nothing, Seen::Failed("Connection refused".to_owned())] {
        let line = told("no providers", Some(metadata(seen)));
        assert!(line.contains("instance metadata at http://169.254.169.254: "), "{line}");
        assert!(line.contains("raise its hop limit to 2"), "{line}");
        assert!(!line.contains("attach an IAM role"), "{line}");
    }
}

#[test]
fn one_that_answers_says_what_is_missing() {
    let line = told("no providers", Some(metadata(Seen::Status(404))));
    assert!(line.contains("no IAM role: attach one to the instance"), "{line}");
    let line = told("no providers", Some(metadata(Seen::Status(403))));
    assert!(line.contains("status 403") && line.contains("IMDSv2"), "{line}");
    // It gave credentials, and AWS does not take them: another story.
    let line = told("no providers", Some(metadata(Seen::Status(200))));
    assert!(line.contains("attach an IAM role to the instance"), "{line}");
}

#[test]
fn whoever_else_gives_none_is_named() {
    let told = |kind, seen| {
        told("no", Some(Sighting { endpoint: "https://x.test".to_owned(), kind, seen }))
    };
    let line = told(CredentialSource::Portal, Seen::Status(401));
    assert!(line.contains("single sign-on at https://x.test: status 401"), "{line}");
    assert!(line.contains("run `aws sso login`"), "{line}");
    for kind in [CredentialSource::Portal, CredentialSource::Aws] {
        let line = told(kind, Seen::Nothing);
        assert!(line.contains("there is a way from here"), "{line}");
        assert!(line.contains("; HTTPS_PROXY is set: check"), "{line}");
    }
    let line = told(CredentialSource::Aws, Seen::Status(403));
    assert!(line.contains("AWS at https://x.test: status 403; no; attach an IAM role"), "{line}");
    let line = told(CredentialSource::Container, Seen::Status(500));
    assert!(line.contains("the container's endpoint at https://x.test: status 500"), "{line}");
    assert!(line.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"), "{line}");
}

#[test]
fn each_kind_of_profile_has_its_own_remedy() {
    for (reason, remedy) in [
        ("the SSO token has expired and cannot be refreshed", "run `aws sso login`"),
        ("external process exited with code 1", "credential_process as the balancer's user"),
        ("requires following cargo feature(s) enabled: credentials-login", "`aws login`"),
        ("an IAM role is associated", "attach an IAM role"),
    ] {
        let line = told(reason, None);
        assert!(line.contains(remedy), "{line}");
    }
}
