//! The configuration: the only reader of the environment.

mod environment;
mod misspelt;
mod parsed_values;
mod problem;
mod reader;
mod remarks;
mod settings;
pub(crate) mod table;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(crate) use environment::{Environment, Written};
pub(crate) use misspelt::Misspelt;
pub(crate) use parsed_values::ParsedValues;
pub(crate) use problem::{ConfigError, Problem, Refused};
pub(crate) use remarks::Remark;

use crate::logging::LogFormat;
use environment::journal;
use reader::Reader;
use settings::limits;
use table as var;
use value::cores::Cores;

/// All that can be configured, checked as far as it can be without opening a socket.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where clients connect, by service; not empty.
    pub(crate) listen: Vec<SocketAddr>,
    /// Whether another process may listen there already, which goes on serving until this one can.
    pub(crate) overlap: bool,
    /// Where the admin server listens; `None` turns it off.
    pub(crate) admin: Option<SocketAddr>,
    /// The CPUs that carry traffic; not empty.
    pub(crate) cpus: Vec<usize>,
    /// How long clients are still accepted after the first signal.
    pub(crate) shutdown_delay: Duration,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// What is to be said of variables that can be used.
    pub(crate) remarks: Vec<Remark>,
    /// The port of targets that name none, where `TARGET_PORT` does not say which.
    pub(crate) assumed_port: Option<u16>,
    /// What is logged, in the syntax of `RUST_LOG`.
    pub(crate) log_filter: String,
    /// What the cores are told.
    pub(crate) dataplane: dataplane::Settings,
    /// What the control plane is told.
    pub(crate) control: control::Settings,
}

impl Config {
    /// What of it depends on this machine.
    pub(crate) fn values(&self) -> ParsedValues {
        ParsedValues {
            listen: self.listen.clone(),
            services: self.listen.len(),
            overlap: Some(self.overlap),
            admin: self.admin,
            cores: Some(self.cpus.len()),
            sources: self.dataplane.sources.clone(),
            connections: self.dataplane.limits.connections,
            listen_backlog: Some(self.dataplane.listen_backlog),
        }
    }

    /// Parses and checks every variable, whether it will be used or not.
    ///
    /// # Errors
    /// All that is wrong, not only the first.
    pub(crate) fn parse(environment: &Environment) -> Result<Self, Box<Refused>> {
        let mut read = Reader::new(environment);
        let listen = listen(&read);
        let admin = admin(&listen, &mut read);
        let cpus = cpus(&mut read);
        let services = settings::services::services(&read);
        let services = services.as_deref();
        let dataplane = settings::dataplane::settings(services, &mut read);
        let control = settings::control::settings(&listen, services, &mut read);
        let values = ParsedValues {
            listen: listen.clone(),
            services: listen.len(),
            overlap: read.value(&var::OVERLAP),
            admin: admin.flatten(),
            cores: cpus.as_ref().map(Vec::len),
            sources: limits::sources(&read).unwrap_or_default(),
            connections: limits::connections(&read).flatten(),
            listen_backlog: read.value(&var::LISTEN_BACKLOG),
        };
        let config = (|| {
            let control = control?;
            Some(Self {
                listen,
                overlap: read.value(&var::OVERLAP)?,
                admin: admin?,
                cpus: cpus?,
                shutdown_delay: read.value(&var::SHUTDOWN_DELAY)?,
                remarks: remarks::remarks(environment, control.policy.breaker.timeout),
                assumed_port: read
                    .value(&var::TARGET_PORT)
                    .filter(|_| !read.is_set(&var::TARGET_PORT)),
                log_format: journal::adapt(read.value(&var::LOG_FORMAT)?),
                log_filter: read.value(&var::RUST_LOG)?,
                dataplane: dataplane?,
                control,
            })
        })();
        read.finish(config).map_err(|problems| Box::new(Refused { problems, values }))
    }
}

/// Where the admin server listens, if it does; `None` if that is bad.
#[expect(clippy::option_option, reason = "bad and turned off are two different things")]
fn admin(clients: &[SocketAddr], read: &mut Reader<'_>) -> Option<Option<SocketAddr>> {
    let admin = address(read.value(&var::ADMIN_HOST), read.value(&var::ADMIN_PORT))?;
    let is_theirs = |it: &&SocketAddr| it.port() == admin.port() && overlap(it.ip(), admin.ip());
    if let Some(clients) = clients.iter().find(is_theirs) {
        let reason = format!("is PORT too, on the same address; accepted: not {}", clients.port());
        read.refuse(&var::ADMIN_PORT, &reason);
        return None;
    }
    Some((admin.port() != 0).then_some(admin))
}

/// Where clients connect, by service; empty if that is bad.
fn listen(read: &Reader<'_>) -> Vec<SocketAddr> {
    let (host, ports) = (read.value(&var::HOST), read.value(&var::PORT));
    let Some((host, ports)) = host.zip(ports) else { return Vec::new() };
    ports.services().iter().map(|service| SocketAddr::new(host, service.port)).collect()
}

/// The CPUs that carry traffic.
fn cpus(read: &mut Reader<'_>) -> Option<Vec<usize>> {
    let wanted = read.value(&var::CORES)?;
    let chosen = Cores::choose(wanted.as_ref(), &allowed_cpus());
    chosen.map_err(|reason| read.refuse(&var::CORES, &reason)).ok()
}

fn address(host: Option<IpAddr>, port: Option<u16>) -> Option<SocketAddr> {
    Some(SocketAddr::new(host?, port?))
}

/// Whether two sockets bound to one port of these addresses would collide. The unspecified IPv6
/// address may take IPv4 too: ipv6(7), `bindv6only`.
fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let (a, b) = (a.to_canonical(), b.to_canonical());
    let covers =
        |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a == b || covers(a, b) || covers(b, a)
}

fn allowed_cpus() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().map(|core| core.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_when_one_covers_the_other() {
        let overlap = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in [
            ("0.0.0.0", "127.0.0.1"),
            ("127.0.0.1", "0.0.0.0"),
            ("::", "127.0.0.1"),
            ("::", "::1"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
        ] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "::1"), ("127.0.0.1", "::1")] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }
}
