//! Proxies that the environment names: for AWS itself, and for nothing nearer.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use crate::credentials::{given, metadata};
use crate::fleet::{Fleet, IDS, wait_for_healthy};
use testkit::aws::endpoint::{Endpoint, EndpointAnswer};
use testkit::scratch::Scratch;

const NO_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", "")];

/// A proxy before `aws` that has a role of its own, and hands it out.
fn proxy(aws: SocketAddr) -> Endpoint {
    Endpoint::start(move |what| match what {
        "POST http://aws.test/" => EndpointAnswer::From(aws),
        "POST http://sts.test/" => EndpointAnswer::Text(200, assumed()),
        _ if what.contains("/latest/") => metadata(what),
        _ => given("PROXY"),
    })
}

fn assumed() -> String {
    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
     <AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/reader/x</Arn>\
     <AssumedRoleId>AROA:x</AssumedRoleId>\
     </AssumedRoleUser><Credentials><AccessKeyId>AKIA</AccessKeyId>\
     <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
     <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
     </AssumeRoleWithWebIdentityResponse>"
        .to_owned()
}

#[test]
fn what_is_asked_for_credentials_on_this_machine_is_asked_directly() {
    let fleet = Fleet::start();
    let container = Endpoint::start(|_| given("AKIA"));
    let instance = Endpoint::start(metadata);
    let path = "/credentials";
    let by_name = container.url(path).replace("127.0.0.1", "localhost");
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        let proxy = proxy(fleet.aws.address());
        for endpoint in [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url(path)),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", by_name.clone()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance.url("")),
        ] {
            let (url, near) = (proxy.url(""), instance.url(""));
            let variables = [
                (variable, url.as_str()),
                ("AWS_ENDPOINT_URL", "http://aws.test"),
                ("AWS_EC2_METADATA_DISABLED", ""),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &near),
                ("ZONE_AWARE", "true"),
                (endpoint.0, &endpoint.1),
            ];
            let balancer = fleet.ready_balancer(&[&NO_KEYS[..], &variables].concat());
            balancer.wait_for_log("this balancer is in zone \"eu-west-1a\"");
        }
        let asked = proxy.asked();
        assert!(!asked.is_empty(), "AWS itself was asked directly");
        assert!(asked.iter().all(|what| what == "POST http://aws.test/"), "{asked:?}");
    }
    assert!(container.asked().iter().all(|what| what == "GET /credentials"));
}

#[test]
fn who_is_farther_away_is_asked_through_the_proxy() {
    let fleet = Fleet::start();
    let proxy = proxy(fleet.aws.address());
    let scratch = Scratch::new();
    let token = scratch.path("token");
    fs::write(&token, "token").unwrap();
    let url = proxy.url("");
    let variables = [
        ("http_proxy", url.as_str()),
        ("AWS_ENDPOINT_URL", "http://aws.test"),
        ("AWS_ENDPOINT_URL_STS", "http://sts.test"),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
    ];
    let balancer = fleet.balancer(&[&NO_KEYS[..], &variables].concat());
    wait_for_healthy(&balancer, IDS.len());
    assert!(proxy.asked().iter().any(|what| what == "POST http://sts.test/"));
}

#[test]
fn a_proxy_is_named_where_aws_is_out_of_reach() {
    let fleet = Fleet::start();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}");
    let balancer = fleet.balancer(&[
        ("https_proxy", &closed),
        ("HTTP_PROXY", &closed),
        ("NO_PROXY", "example.com"),
        ("AWS_ENDPOINT_URL", "https://aws.test"),
    ]);
    balancer.wait_for_refreshes("unreachable", 1);
    balancer.wait_for_log("https_proxy, HTTP_PROXY and NO_PROXY are set: check that AWS");
}

#[test]
fn a_request_that_never_leaves_is_told_from_one_that_is_refused() {
    let fleet = Fleet::start();
    let scratch = Scratch::new();
    let config = scratch.path("config");
    fs::write(&config, "[default]\nregion = eu west 1\n").unwrap();
    let config = config.to_str().unwrap();
    for (variables, told) in [
        (vec![("AWS_ENDPOINT_URL", "127.0.0.1:1")], "`127.0.0.1:1` is no endpoint (AWS_ENDPOINT"),
        (vec![("AWS_ENDPOINT_URL_EC2", "http://a:99999")], "AWS_ENDPOINT_URL_EC2 or the profile's"),
        (
            vec![("AWS_CONFIG_FILE", config), ("AWS_ENDPOINT_URL", "")],
            "AWS_REGION (in use: eu west",
        ),
    ] {
        let balancer = fleet.balancer(&variables);
        balancer.wait_for_log("the request never left this machine, for ");
        balancer.wait_for_log(told);
        balancer.wait_for_refreshes("other", 1);
        let log = balancer.process.stderr();
        assert!(!log.contains("AWS refuses"), "{log}");
    }
}
