use crate::config::environment::Environment;
use crate::config::reader::Reader;
use crate::config::table as var;
use crate::config::value::ports::ServicePorts;

/// A service as it is configured.
#[derive(Debug)]
pub(crate) struct ConfiguredService {
    /// What it is called; `None` where it is the only one.
    pub(crate) name: Option<u16>,
    /// Where its targets serve that name no port.
    pub(crate) target_port: u16,
    environment: Environment,
}

impl ConfiguredService {
    /// Reads the values of this service, which were checked.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::of_service(&self.environment)
    }
}

/// The services, in the order of `PORT`; not empty.
pub(crate) fn services(read: &Reader<'_>) -> Option<Vec<ConfiguredService>> {
    let (ports, target_port) = (read.value(&var::PORT)?, read.value(&var::TARGET_PORT)?);
    let services = ports.services();
    let is_only_one = services.len() == 1;
    let service = |ports: &ServicePorts| ConfiguredService {
        name: (!is_only_one).then_some(ports.port),
        target_port: ports.target_port.unwrap_or(target_port),
        environment: read.environment().of_service(ports.port),
    };
    Some(services.iter().map(service).collect())
}
