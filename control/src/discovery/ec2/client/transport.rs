use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::net::lookup_host;
use ureq::http::Uri;
use ureq::http::uri::Scheme;

use super::error_chain::chain;

/// Carries the requests of those who look for credentials. What is on this machine or its link is
/// asked without a proxy, whatever the environment says: a proxy would hand out its own role. All
/// else goes the way of the environment.
#[derive(Debug)]
pub(super) struct Transport {
    direct: SharedHttpClient,
    /// None where the environment names no proxy.
    proxied: Option<SharedHttpClient>,
    sightings: Arc<Sightings>,
}

impl Transport {
    pub(super) fn new(may_be_proxied: bool, sightings: Arc<Sightings>) -> Self {
        Self {
            direct: client(ProxyConfig::disabled),
            proxied: may_be_proxied.then(|| client(ProxyConfig::from_env)),
            sightings,
        }
    }
}

/// As the SDK makes its own, but for the proxy.
fn client(proxy: fn() -> ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let tls = Provider::Rustls(CryptoMode::AwsLc);
        let mut connector = Connector::builder().tls_provider(tls).proxy_config(proxy());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    })
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Fork {
            direct: connector(&self.direct),
            proxied: self.proxied.as_ref().map(connector),
            sightings: Arc::clone(&self.sightings),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.direct.connector_metadata()
    }
}

#[derive(Clone, Debug)]
struct Fork {
    direct: SharedHttpConnector,
    proxied: Option<SharedHttpConnector>,
    sightings: Arc<Sightings>,
}

impl HttpConnector for Fork {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let fork = self.clone();
        HttpConnectorFuture::new(async move {
            let uri: Option<Uri> = request.uri().parse().ok();
            let is_near = match &uri {
                Some(uri) => is_near(uri).await,
                None => false,
            };
            let proxied = fork.proxied.as_ref().filter(|_| !is_near);
            let note = |seen| {
                if let Some(uri) = &uri {
                    fork.sightings.note(Sighting::of(uri, is_near, seen));
                }
            };
            note(Seen::Nothing);
            let answer = proxied.unwrap_or(&fork.direct).call(request).await;
            note(Seen::of(&answer));
            answer
        })
    }
}

/// Whether `uri` is on this machine or its link, or AWS's metadata over IPv6. A name is, if all of its
/// addresses are. Only endpoints for credentials have one without TLS: AWS itself has TLS.
async fn is_near(uri: &Uri) -> bool {
    let Some(host) = uri.host() else { return false };
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = literal.parse() {
        return is_near_ip(ip);
    }
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    if uri.scheme() != Some(&Scheme::HTTP) {
        return false;
    }
    let Ok(addresses) = lookup_host((host, uri.port_u16().unwrap_or(80))).await else {
        return false;
    };
    let mut addresses = addresses.peekable();
    addresses.peek().is_some() && addresses.all(|address| is_near_ip(address.ip()))
}

fn is_near_ip(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.is_unicast_link_local() || ip.segments()[..2] == [0xfd00, 0x0ec2]
        }
    }
}

/// What was seen last of an endpoint that was asked for credentials: the SDK forgets why one did not
/// answer.
#[derive(Debug, Default)]
pub(super) struct Sightings(Mutex<Option<Sighting>>);

impl Sightings {
    pub(super) fn note(&self, sighting: Sighting) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sighting);
    }

    /// The latest one.
    pub(super) fn latest(&self) -> Option<Sighting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    /// Without path and query.
    pub(super) endpoint: String,
    pub(super) kind: CredentialSource,
    pub(super) seen: Seen,
}

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CredentialSource {
    /// The instance metadata service.
    Metadata,
    /// What a container's agent has for it.
    Container,
    /// Single sign-on.
    Portal,
    /// AWS itself, which gives credentials for others.
    Aws,
}

impl CredentialSource {
    fn of(uri: &Uri, is_near: bool) -> Self {
        if uri.path().starts_with("/latest/") {
            Self::Metadata
        } else if uri.path() == "/federation/credentials" || uri.path() == "/token" {
            Self::Portal
        } else if is_near && uri.path() != "/" {
            Self::Container
        } else {
            Self::Aws
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It has not answered, as yet or at all.
    Nothing,
    /// It could not be asked.
    Failed(String),
    /// It has answered with this status.
    Status(u16),
}

impl Sighting {
    fn of(uri: &Uri, is_near: bool, seen: Seen) -> Self {
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().map_or_else(String::new, |port| format!(":{port}"));
        Self {
            endpoint: format!("{scheme}://{host}{port}"),
            kind: CredentialSource::of(uri, is_near),
            seen,
        }
    }
}

impl Seen {
    fn of(answer: &Result<HttpResponse, ConnectorError>) -> Self {
        match answer {
            Ok(answer) => Self::Status(answer.status().as_u16()),
            Err(error) if error.is_timeout() => Self::Nothing,
            Err(error) => {
                let error: &(dyn Error + 'static) = error;
                Self::Failed(chain(error).last().unwrap_or(error).to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(uri: &str) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(super::is_near(&uri.parse().unwrap()))
    }

    #[test]
    fn endpoints_of_credentials_are_near() {
        for uri in [
            "http://169.254.169.254/latest/api/token",
            "http://169.254.170.2/v2/credentials",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::254]/latest/api/token",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://[fe80::1]:8080/",
            "http://127.0.0.1:1338/",
            "https://127.8.9.10/",
            "http://[::1]:1/",
            "http://[::ffff:127.0.0.1]/",
            "http://localhost:1/",
            "https://LocalHost/",
        ] {
            assert!(is_near(uri), "{uri}");
        }
    }

    #[test]
    fn aws_itself_is_not() {
        for uri in [
            "https://sts.eu-west-1.amazonaws.com/",
            "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials",
            "https://oidc.eu-west-1.amazonaws.com/token",
            "http://10.0.0.1/",
            "http://[fd00:ec3::254]/",
            "http://[2001:db8::1]/",
            "http://168.254.169.254/",
        ] {
            assert!(!is_near(uri), "{uri}");
        }
    }

    #[test]
    fn a_sighting_names_the_endpoint_and_no_more() {
        for (uri, endpoint, kind) in [
            (
                "http://169.254.169.254/latest/api/token",
                "http://169.254.169.254",
                CredentialSource::Metadata,
            ),
            (
                "http://user:secret@127.0.0.1:81/x?token=y",
                "http://127.0.0.1:81",
                CredentialSource::Container,
            ),
            (
                "https://portal.sso.x.amazonaws.com/federation/credentials?role_name=x",
                "https://portal.sso.x.amazonaws.com",
                CredentialSource::Portal,
            ),
            ("https://sts.x.amazonaws.com/", "https://sts.x.amazonaws.com", CredentialSource::Aws),
        ] {
            let uri: Uri = uri.parse().unwrap();
            let sighting = Sighting::of(&uri, kind == CredentialSource::Container, Seen::Nothing);
            assert_eq!((&*sighting.endpoint, sighting.kind), (endpoint, kind));
        }
    }
}
