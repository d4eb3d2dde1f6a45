//! Credentials: from where they come, and what happens to bad ones.

use std::fs;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::BINARY;
use crate::fleet::{Fleet, IDS, wait_for_healthy};
use testkit::aws::endpoint::{Endpoint, EndpointAnswer};
use testkit::balancer::Balancer;
use testkit::process::end;
use testkit::scratch::Scratch;
use testkit::wait::wait_until;

const NO_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];

/// What an endpoint for credentials gives. They have expired: it is asked each time.
pub(crate) fn given(key: &str) -> EndpointAnswer {
    EndpointAnswer::Text(200, given_until(key, "2020-01-01T00:00:00Z"))
}

fn given_until(key: &str, expiration: &str) -> String {
    format!(
        r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z",
            "AccessKeyId": "{key}", "SecretAccessKey": "hush", "Token": "hush",
            "Expiration": "{expiration}"}}"#
    )
}

/// An instance metadata service (`IMDSv2`) of an instance with a role.
pub(crate) fn metadata(what: &str) -> EndpointAnswer {
    match what {
        "PUT /latest/api/token" => EndpointAnswer::Text(200, "token".to_owned()),
        "GET /latest/meta-data/iam/security-credentials/" => {
            EndpointAnswer::Text(200, "role".to_owned())
        }
        "GET /latest/meta-data/iam/security-credentials/role" => given("AKIA"),
        "GET /latest/meta-data/placement/availability-zone" => {
            EndpointAnswer::Text(200, "eu-west-1a".to_owned())
        }
        _ => EndpointAnswer::Text(404, String::new()),
    }
}

#[track_caller]
fn warnings(balancer: &Balancer) -> Vec<String> {
    let log = balancer.process.stderr();
    log.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
}

#[test]
fn a_key_that_no_header_can_hold_is_named_in_one_line() {
    let fleet = Fleet::start();
    for (variable, value, place) in [
        ("AWS_ACCESS_KEY_ID", "AKIA\r", "its character 5 is U+000D, a control character"),
        ("AWS_ACCESS_KEY_ID", "AKI\u{e9}", "its character 4 is U+00E9, no ASCII"),
        ("AWS_SECRET_ACCESS_KEY", "hush\n", "its character 5 is U+000A, a control character"),
        ("AWS_SESSION_TOKEN", "hu\u{1}sh", "its character 3 is U+0001, a control character"),
    ] {
        let balancer = fleet.balancer(&[(variable, value)]);
        balancer.wait_for_refreshes("no_credentials", 3);
        let lines = warnings(&balancer);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(&format!("{variable} cannot be used: {place}")), "{lines:?}");
        let log = balancer.process.stderr();
        assert!(!log.contains("hush") && !log.contains("panicked"), "{log}");
        assert_eq!(balancer.admin_get("/healthz").unwrap().status, 200);
    }
}

#[test]
fn one_that_an_endpoint_gives_later_costs_no_connection() {
    let fleet = Fleet::start();
    let bad = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&bad);
    let endpoint = Endpoint::start(move |_| {
        // In JSON.
        given(if now.load(Ordering::SeqCst) { "AKIA\\r" } else { "AKIA" })
    });
    let url = endpoint.url("/credentials");
    let variables = [&NO_KEYS[..], &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url)]].concat();
    let balancer = fleet.ready_balancer(&variables);
    let mut client = balancer.client();
    wait_until("the client has its target", || {
        balancer.admin_get("/targets").unwrap().body.contains("\"active_connections\":1")
    });

    bad.store(true, Ordering::SeqCst);
    balancer.wait_for_refreshes("no_credentials", 3);
    assert_eq!(balancer.ids("healthy"), IDS);
    assert_eq!(client.get("/").unwrap().status, 200);
    let lines = warnings(&balancer);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let who = format!("the container's endpoint at {} gave cannot be used", endpoint.url(""));
    assert!(lines[0].contains(&who) && lines[0].contains("U+000D"), "{lines:?}");
    assert!(!lines[0].contains("hush"), "{lines:?}");

    bad.store(false, Ordering::SeqCst);
    balancer.wait_for_log("discovery works again: 4 targets");
}

/// A panic of the SDK that nothing here foresees: its parser of this variable has one.
#[test]
fn a_panic_of_the_sdk_is_a_failed_refresh() {
    let fleet = Fleet::start();
    let panics = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", "127.0.0.1"), ("LOG_FORMAT", "json")];
    let balancer = fleet.balancer(&[&NO_KEYS[..], &panics].concat());
    balancer.wait_for_refreshes("other", 3);
    let log = balancer.process.stderr();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut told = lines.iter().filter(|line| line["level"] == "WARN").collect::<Vec<_>>();
    assert_eq!(told.len(), 1, "{log}");
    let line = told.remove(0)["msg"].as_str().unwrap();
    assert!(line.contains("the AWS SDK has failed in ec2:DescribeInstances: a library"), "{line}");
    assert!(line.contains("parts will be valid") && line.contains("ecs.rs:"), "{line}");
    assert_eq!(balancer.admin_get("/healthz").unwrap().status, 200);

    let aws = fleet.aws.variables();
    let checked = end(BINARY.command().envs(aws).envs(NO_KEYS).envs(panics).arg("check"));
    assert_eq!(checked.code, Some(1), "{}", checked.stderr);
    assert!(checked.stdout.contains("the AWS SDK has failed in"), "{}", checked.stdout);
}

#[test]
fn a_metadata_service_that_does_not_answer_is_named_with_its_hop_limit() {
    let fleet = Fleet::start();
    let silent = Endpoint::start(|_| EndpointAnswer::Nothing);
    let told = |endpoint: &Endpoint| {
        let url = endpoint.url("");
        let where_it_is =
            [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url), ("AWS_EC2_METADATA_DISABLED", "")];
        let balancer = fleet.balancer(&[&NO_KEYS[..], &where_it_is].concat());
        balancer.wait_for_refreshes("no_credentials", 1);
        warnings(&balancer).remove(0)
    };
    let line = told(&silent);
    let who = format!("instance metadata at {}: no answer in time", silent.url(""));
    assert!(line.contains(&who) && line.contains("raise its hop limit to 2"), "{line}");
    assert!(!line.contains("attach an IAM role"), "{line}");
    let without_role = Endpoint::start(|what| match what {
        "PUT /latest/api/token" => metadata(what),
        _ => EndpointAnswer::Text(404, String::new()),
    });
    let line = told(&without_role);
    assert!(line.contains("it knows of no IAM role: attach one to the instance"), "{line}");
}

#[test]
fn an_instances_role_is_used() {
    let fleet = Fleet::start();
    let endpoint = Endpoint::start(metadata);
    let url = endpoint.url("");
    let metadata =
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url), ("AWS_EC2_METADATA_DISABLED", "")];
    fleet.ready_balancer(&[&NO_KEYS[..], &metadata].concat());
}

#[test]
fn a_profiles_process_gives_credentials() {
    let fleet = Fleet::start();
    let scratch = Scratch::new();
    let script = scratch.path("credentials.sh");
    let (config, seen) = (scratch.path("config"), scratch.path("seen"));
    let profile = format!("[default]\ncredential_process = /bin/sh {}\n", script.display());
    fs::write(&config, profile).unwrap();
    let print = |key: &str| {
        let json = given_until(key, "2020-01-01T00:00:00Z")
            .replace("\"Code\"", "\"Version\": 1, \"Code\"");
        let (listed, seen) = (scratch.path("listed"), seen.display());
        let list = format!("ls -l /proc/self/fd > {0} && mv {0} {seen}", listed.display());
        scratch.replace("credentials.sh", &format!("{list}\ncat <<'END'\n{json}\nEND\n"));
    };
    let variables = [&NO_KEYS[..], &[("AWS_CONFIG_FILE", config.to_str().unwrap())]].concat();
    print("AKIA");
    let balancer = fleet.ready_balancer(&variables);
    assert_eq!(warnings(&balancer), Vec::<String>::new());
    let _client = TcpStream::connect(balancer.address).unwrap();
    balancer.wait_for_refreshes("ok", 2);
    let descriptors = fs::read_to_string(&seen).unwrap();
    // No client, nor anything else of the balancer's, is passed on.
    let is_passed_on = descriptors.contains("socket:") || descriptors.contains("anon_inode:");
    assert!(descriptors.contains("/proc/") && !is_passed_on, "{descriptors}");

    print("AKIA\\n");
    balancer.wait_for_log("that the profile's credential_process gave cannot be used: its char");
    print("AKIA");
    balancer.wait_for_log("discovery works again");
    scratch.replace("credentials.sh", "echo it failed >&2; exit 3\n");
    balancer.wait_for_log("Stderr: it failed");
    balancer.wait_for_log("run the profile's credential_process as the balancer's user");
    assert_eq!(balancer.ids("healthy"), IDS);
}

/// A profile that signs in at `portal`, and the directory that its token is in.
fn single_sign_on(scratch: &Scratch, portal: &Endpoint) -> Vec<(&'static str, String)> {
    let profile = "[default]\nsso_session = corp\nsso_account_id = 123456789012\n\
        sso_role_name = reader\n\n[sso-session corp]\nsso_region = eu-west-1\n\
        sso_start_url = https://corp.awsapps.com/start\n";
    fs::write(scratch.path("config"), profile).unwrap();
    fs::create_dir_all(scratch.path(".aws/sso/cache")).unwrap();
    vec![
        ("AWS_CONFIG_FILE", scratch.path("config").to_str().unwrap().to_owned()),
        ("HOME", scratch.path("").to_str().unwrap().to_owned()),
        ("AWS_ENDPOINT_URL_SSO", portal.url("")),
        ("AWS_ENDPOINT_URL_SSO_OIDC", portal.url("")),
    ]
}

/// As `aws sso login` leaves it.
fn sign_in(scratch: &Scratch, expires: &str) {
    let token = format!(
        r#"{{"accessToken": "hush", "expiresAt": "{expires}", "region": "eu-west-1",
            "startUrl": "https://corp.awsapps.com/start"}}"#
    );
    // Named for the session: SHA-1 of `corp`.
    let name = ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json";
    fs::write(scratch.path(name), token).unwrap();
}

#[test]
fn single_sign_on_gives_credentials_and_says_when_it_has_ended() {
    let fleet = Fleet::start();
    let scratch = Scratch::new();
    let is_revoked = Arc::new(AtomicBool::new(false));
    let revoked = Arc::clone(&is_revoked);
    let portal = Endpoint::start(move |what| match what {
        "GET /federation/credentials?role_name=reader&account_id=123456789012"
            if !revoked.load(Ordering::SeqCst) =>
        {
            let credentials = r#"{"roleCredentials": {"accessKeyId": "AKIA",
                "secretAccessKey": "hush", "sessionToken": "hush", "expiration": 1577836800000}}"#;
            EndpointAnswer::Text(200, credentials.to_owned())
        }
        _ => EndpointAnswer::Text(
            401,
            r#"{"message": "Session token not found or invalid"}"#.to_owned(),
        ),
    });
    let own = single_sign_on(&scratch, &portal);
    let mut variables = NO_KEYS.to_vec();
    variables.extend(own.iter().map(|(name, value)| (*name, value.as_str())));
    sign_in(&scratch, "2020-01-01T00:00:00Z");
    let balancer = fleet.balancer(&variables);
    let remedy = "run `aws sso login` with this profile, as the balancer's user";
    balancer.wait_for_log("the SSO token has expired");
    balancer.wait_for_log(remedy);
    sign_in(&scratch, "2099-01-01T00:00:00Z");
    wait_for_healthy(&balancer, IDS.len());

    let logged = balancer.process.stderr().len();
    is_revoked.store(true, Ordering::SeqCst);
    balancer.wait_for_refreshes("no_credentials", 2);
    assert_eq!(balancer.ids("healthy"), IDS);
    let log = balancer.process.stderr()[logged..].to_owned();
    assert_eq!(log.matches(remedy).count(), 1, "{log}");
    assert!(!balancer.process.stderr().contains("hush"), "{log}");
}
