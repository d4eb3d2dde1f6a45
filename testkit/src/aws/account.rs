//! Orders to AWS.

use std::net::SocketAddr;

use crate::http::{Message, exchange};

/// What an operator asks AWS to do, in one region.
#[derive(Debug)]
pub struct Account {
    endpoint: SocketAddr,
    /// The region.
    pub region: String,
}

impl Account {
    /// The account behind `endpoint`.
    pub fn new(endpoint: SocketAddr, region: &str) -> Self {
        Self { endpoint, region: region.to_owned() }
    }

    /// Asks EC2; values are sent as they are.
    pub fn ec2(&self, form: &str) -> String {
        self.ask("ec2", "2016-11-15", form)
    }

    /// Asks Auto Scaling; values are sent as they are.
    pub fn autoscaling(&self, form: &str) -> String {
        self.ask("autoscaling", "2011-01-01", form)
    }

    fn ask(&self, service: &str, version: &str, form: &str) -> String {
        let request = Message {
            start: "POST / HTTP/1.1".to_owned(),
            headers: vec![
                "Host: moto".to_owned(),
                "Content-Type: application/x-www-form-urlencoded".to_owned(),
                // Nobody checks the signature, but region and service are read from it.
                format!(
                    "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{}/{service}/\
                     aws4_request, SignedHeaders=host, Signature=none",
                    self.region
                ),
            ],
            body: format!("Action={form}&Version={version}"),
        };
        let answer = exchange(self.endpoint, &request).unwrap();
        assert_eq!(answer.status(), Some(200), "{form}: {}", answer.body);
        answer.body
    }
}

/// The text of the first element of that name.
pub fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name}: {xml}"));
    rest.split_once("</").unwrap().0.to_owned()
}
