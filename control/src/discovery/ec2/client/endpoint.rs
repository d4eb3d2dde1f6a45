use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use ureq::http::Uri;

use crate::log_lines::escaped::Escaped;

/// The endpoint that the environment or the profile names for a service, or for all: what the SDK
/// finds, but a variable that is set to nothing counts as unset. The SDK would panic over one.
#[derive(Debug)]
pub(super) struct Endpoint {
    url: Option<String>,
    /// The variable for this service alone.
    variable: String,
}

impl Endpoint {
    /// That of the service which the SDK calls `id`, and `AWS_ENDPOINT_URL_` followed by `name`.
    pub(super) fn of(config: &SdkConfig, id: &str, name: &str) -> Self {
        let is_given = |url: &String| !url.is_empty();
        let key = ServiceConfigKey::builder()
            .service_id(id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .expect("it is complete");
        let own = config.service_config().and_then(|services| services.load_config(key));
        let url = own
            .filter(is_given)
            .or_else(|| config.endpoint_url().map(str::to_owned).filter(is_given));
        Self { url, variable: format!("AWS_ENDPOINT_URL_{name}") }
    }

    /// None where AWS itself is to be asked.
    pub(super) fn url(&self) -> Option<String> {
        self.url.clone()
    }

    /// Why no request can be sent there; the SDK would show the whole request, or leave the port away.
    pub(super) fn problem(&self) -> Option<String> {
        let url = self.url.as_ref().filter(|url| !is_endpoint(url))?;
        let variable = &self.variable;
        Some(format!(
            "`{}` is no endpoint (AWS_ENDPOINT_URL, {variable} or the profile's endpoint_url)",
            Escaped(url)
        ))
    }
}

fn is_endpoint(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let after_host = authority.as_str().rsplit(']').next().unwrap_or_default();
    let has_bad_port = after_host.contains(':') && authority.port_u16().is_none();
    has_scheme && !authority.host().is_empty() && !has_bad_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_scheme_and_host() {
        for url in [
            "http://127.0.0.1:5000",
            "https://ec2.eu-west-1.amazonaws.com",
            "https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com/path",
            "http://[::1]:81/",
            "http://[::1]",
        ] {
            assert!(is_endpoint(url), "{url}");
        }
        for url in [
            "foo",
            "/path",
            "http://",
            "https:",
            "htp://x",
            "file:///x",
            "http://x y",
            "http://[::1",
            "http://\u{e9}",
            "127.0.0.1:1",
            "http://127.0.0.1:99999",
            "http://[::1]:99999",
            "http://x:",
        ] {
            assert!(!is_endpoint(url), "{url}");
        }
    }
}
