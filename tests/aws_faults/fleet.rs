use crate::BINARY;
use testkit::aws::api::{Aws, Behaviour};
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::net::port::Port;
use testkit::wait::wait_until;

pub(crate) const ADDRESSES: [&str; 4] = ["127.0.1.11", "127.0.1.12", "127.0.1.13", "127.0.1.14"];
pub(crate) const IDS: [&str; 4] = ["i-1", "i-2", "i-3", "i-4"];

/// Four instances with a server each, one of them on every address, and their port.
pub(crate) struct Fleet {
    pub(crate) aws: Aws,
    port: Port,
    _backends: Vec<Backend>,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        let (aws, port) = (Aws::start(), Port::free());
        let backend = |address: &&str| {
            Backend::named_on(format!("{address}:{}", port.number()).parse().unwrap(), address)
        };
        let backends = ADDRESSES.iter().map(backend).collect();
        let fleet = Self { aws, port, _backends: backends };
        fleet.resize(4);
        fleet
    }

    /// The first `count` instances are there.
    pub(crate) fn resize(&self, count: usize) {
        let all: Vec<_> = IDS.into_iter().zip(ADDRESSES).take(count).collect();
        self.aws.set_instances(&all);
    }

    /// A balancer before it; `variables` go over what it needs.
    pub(crate) fn balancer(&self, variables: &[(&str, &str)]) -> Balancer {
        let port = self.port.text();
        let aws = self.aws.variables();
        let mut all: Vec<_> = aws.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend([("TARGET_PORT", &*port), ("HEALTH_CHECK_PORT", "")]);
        all.extend(variables);
        BINARY.spawn(&[], &all)
    }

    pub(crate) fn ready_balancer(&self, variables: &[(&str, &str)]) -> Balancer {
        let balancer = self.balancer(variables);
        wait_for_healthy(&balancer, IDS.len());
        balancer
    }
}

#[track_caller]
pub(crate) fn wait_for_healthy(balancer: &Balancer, count: usize) {
    wait_until(&format!("{count} targets are healthy"), || balancer.ids("healthy").len() == count);
}

#[track_caller]
pub(crate) fn refreshes(balancer: &Balancer, outcome: &str) -> f64 {
    wait_until("the admin server answers", || balancer.admin_get("/healthz").is_some());
    balancer.metric(&format!("discovery_refreshes_total{{outcome=\"{outcome}\"}}"))
}

pub(crate) fn fixed(status: u16, body: impl Into<String>) -> Behaviour {
    Behaviour::Fixed { action: None, status, body: body.into() }
}

/// An error as EC2 says it.
pub(crate) fn ec2_error(status: u16, code: &str) -> Behaviour {
    let body = format!(
        "<?xml version=\"1.0\"?><Response><Errors><Error><Code>{code}</Code><Message>EC2 says so\
         </Message></Error></Errors><RequestID>1</RequestID></Response>"
    );
    Behaviour::Fixed { action: Some("DescribeInstances"), status, body }
}

/// An error as Auto Scaling says it.
pub(crate) fn asg_error(status: u16, code: &str) -> Behaviour {
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>ASG says so</Message></Error>\
         <RequestId>1</RequestId></ErrorResponse>"
    );
    Behaviour::Fixed { action: Some("DescribeAutoScalingGroups"), status, body }
}
