//! The configuration: the only reader of the environment.

mod doubt;
mod environment;
mod misspelt;
mod parsed_values;
mod problem;
mod reader;
mod settings;
pub(crate) mod table;
mod unused;
mod value;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dataplane::Balance;

pub(crate) use doubt::Doubt;
pub(crate) use environment::Environment;
pub(crate) use misspelt::Misspelt;
pub(crate) use parsed_values::ParsedValues;
pub(crate) use problem::{ConfigError, Problem, Refused};
pub(crate) use unused::Unused;

use crate::logging::LogFormat;
use environment::journal;
use reader::Reader;
use settings::{discovery, limits, proxy_protocol, zone};
use table as var;
use value::Unit::{Minutes, Seconds};
use value::cores::Cores;

/// All that can be configured, checked as far as it can be without opening a socket.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where clients connect.
    pub(crate) listen: SocketAddr,
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
    /// What is set in vain.
    pub(crate) without_effect: Vec<Unused>,
    /// What is hardly meant as it is.
    pub(crate) doubts: Vec<Doubt>,
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
            listen: Some(self.listen),
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
    pub(crate) fn parse(environment: Environment) -> Result<Self, Box<Refused>> {
        let mut problems = Vec::new();
        let without_effect = unused::without_effect(&environment);
        let raw = environment.into_raw(&mut problems);
        let mut read = Reader::new(problems);

        let listen = address(
            read.value(var::HOST, raw.host.as_deref(), value::host),
            read.value(var::PORT, raw.port.as_deref(), value::number(1..=u16::MAX)),
        );
        let mut admin = address(
            read.value(var::ADMIN_HOST, raw.admin_host.as_deref(), value::host),
            read.value(var::ADMIN_PORT, raw.admin_port.as_deref(), value::number(0..=u16::MAX)),
        );
        if let (Some(clients), Some(operators)) = (listen, admin)
            && clients.port() == operators.port()
            && overlap(clients.ip(), operators.ip())
        {
            let reason =
                format!("is PORT too, on the same address; accepted: not {}", clients.port());
            read.refuse(var::ADMIN_PORT, raw.admin_port.as_deref(), &reason);
            admin = None;
        }
        let cores = read.optional(var::CORES, raw.cores.as_deref(), value::own::<Cores>);
        let cpus = cores.and_then(|wanted| {
            Cores::choose(wanted.as_ref(), &allowed_cpus())
                .map_err(|reason| read.refuse(var::CORES, raw.cores.as_deref(), &reason))
                .ok()
        });
        let overlap = read.value(var::OVERLAP, raw.overlap.as_deref(), value::boolean);
        let delay = raw.shutdown_delay.as_deref();
        let shutdown_delay = read.value(var::SHUTDOWN_DELAY, delay, value::delay(Seconds));
        let log_format = read.value(var::LOG_FORMAT, raw.log_format.as_deref(), value::log_format);
        let log_format = log_format.map(journal::adapt);
        let log_filter = read.value(var::RUST_LOG, raw.rust_log.as_deref(), value::log_filter);
        let dataplane = dataplane_settings(&raw, &mut read);
        let control = control_settings(&raw, listen, &mut read);
        let values = values(&raw, listen, admin, cpus.as_ref().map(Vec::len));

        let assumed_port =
            raw.target_port.is_none().then(|| discovery::target_port(&raw, &mut read));

        let config = (|| {
            let control = control?;
            Some(Self {
                doubts: doubt::doubts(&raw, control.breaker.timeout),
                listen: listen?,
                overlap: overlap?,
                admin: admin.map(|admin| (admin.port() != 0).then_some(admin))?,
                cpus: cpus?,
                shutdown_delay: shutdown_delay?,
                without_effect,
                assumed_port: assumed_port.flatten(),
                log_format: log_format?,
                log_filter: log_filter?,
                dataplane: dataplane?,
                control,
            })
        })();
        read.finish(config).map_err(|problems| Box::new(Refused { problems, values }))
    }
}

/// Whatever is good, to be tried on this machine. What is bad has been reported.
fn values(
    raw: &var::Raw,
    listen: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    cores: Option<usize>,
) -> ParsedValues {
    let mut read = Reader::default();
    let backlog = raw.listen_backlog.as_deref();
    ParsedValues {
        listen,
        overlap: read.value(var::OVERLAP, raw.overlap.as_deref(), value::boolean),
        admin: admin.filter(|admin| admin.port() != 0),
        cores,
        sources: limits::sources(raw, &mut read).unwrap_or_default(),
        connections: limits::connections(raw, &mut read).flatten(),
        listen_backlog: read.value(var::LISTEN_BACKLOG, backlog, value::listen_backlog),
    }
}

fn dataplane_settings(raw: &var::Raw, read: &mut Reader) -> Option<dataplane::Settings> {
    let balance = read.value(var::BALANCE, raw.balance.as_deref(), value::balance);
    let backlog = raw.listen_backlog.as_deref();
    let listen_backlog = read.value(var::LISTEN_BACKLOG, backlog, value::listen_backlog);
    let attempts = raw.connect_attempts.as_deref();
    let connect_attempts = read.value(var::CONNECT_ATTEMPTS, attempts, value::number(1..=16));
    let pool_size = read.value(var::POOL_SIZE, raw.pool_size.as_deref(), value::number(0..=10_000));
    let timeout = raw.pool_timeout.as_deref();
    let connect_timeout = read.value(var::POOL_TIMEOUT, timeout, value::period(Seconds));
    let timeout = raw.shutdown_timeout.as_deref();
    let shutdown_timeout = read.value(var::SHUTDOWN_TIMEOUT, timeout, value::delay(Seconds));
    let limits = limits::limits(raw, read);
    let sources = limits::sources(raw, read);
    let log = raw.log_connections.as_deref();
    let log_connections = read.value(var::LOG_CONNECTIONS, log, value::boolean);
    let proxy_protocol = proxy_protocol::settings(raw, read);
    let idle_timeouts = idle_timeouts(raw, read);
    let keepalive = read.value(var::TCP_KEEPALIVE, raw.tcp_keepalive.as_deref(), value::keepalive);
    Some(dataplane::Settings {
        balance: balance?,
        // The start-up checks find out.
        connections_max: usize::MAX,
        pool_size: pool_size.map(|n: u16| n.into())?,
        limits: limits?,
        sources: sources?,
        listen_backlog: listen_backlog?,
        proxy_protocol: proxy_protocol?,
        connect_attempts: usize::from(connect_attempts.map(|n: u8| n)?),
        connect_timeout: connect_timeout?,
        idle_timeouts: idle_timeouts?,
        keepalive: unless_zero(keepalive?),
        shutdown_timeout: shutdown_timeout?,
        log_connections: log_connections?,
    })
}

fn idle_timeouts(raw: &var::Raw, read: &mut Reader) -> Option<dataplane::IdleTimeouts> {
    let open = read.value(var::IDLE_TIMEOUT, raw.idle_timeout.as_deref(), value::delay(Seconds));
    let text = raw.half_closed_timeout.as_deref();
    let half_closed = read.optional(var::HALF_CLOSED_TIMEOUT, text, value::delay(Seconds));
    let (open, half_closed) = (open?, half_closed?);
    Some(dataplane::IdleTimeouts {
        open: unless_zero(open),
        half_closed: unless_zero(half_closed.unwrap_or(open)),
    })
}

fn unless_zero(time: Duration) -> Option<Duration> {
    (!time.is_zero()).then_some(time)
}

fn control_settings(
    raw: &var::Raw,
    listen: Option<SocketAddr>,
    read: &mut Reader,
) -> Option<control::Settings> {
    let period = raw.node_check_period.as_deref();
    let discovery_period = read.value(var::NODE_CHECK_PERIOD, period, value::period(Seconds));
    let threshold = raw.fail_open_threshold.as_deref();
    let fail_open_threshold =
        read.value(var::FAIL_OPEN_THRESHOLD, threshold, value::number(0..=100));
    let text = raw.drain_timeout.as_deref();
    let drain_timeout = read.value(var::DRAIN_TIMEOUT, text, value::delay(Seconds));
    let text = raw.unhealthy_connections.as_deref();
    let reset_unhealthy = read.value(var::UNHEALTHY_CONNECTIONS, text, value::is_reset);
    let text = raw.slow_start.as_deref();
    let slow_start = read.value(var::SLOW_START, text, value::delay(Seconds));
    let text = raw.rebalance_rate.as_deref();
    let rebalance_rate = read.value(var::REBALANCE_RATE, text, value::number(0..=10_000));
    let health = health_settings(raw, read);
    let breaker = breaker_settings(raw, read);
    let discovery = discovery::settings(raw, listen, discovery_period, read);
    let zone = zone::settings(raw, read);
    // Bad values are reported where the data plane reads them.
    let mut again = Reader::default();
    let balance = again.value(var::BALANCE, raw.balance.as_deref(), value::balance);
    let text = raw.pool_timeout.as_deref();
    let connect_timeout = again.value(var::POOL_TIMEOUT, text, value::period(Seconds));
    let affinity = balance? == Balance::Maglev;
    Some(control::Settings {
        discovery: discovery?,
        discovery_period: discovery_period?,
        health: health?,
        fail_open_threshold: fail_open_threshold?,
        affinity,
        drain_timeout: drain_timeout?,
        reset_unhealthy: reset_unhealthy?,
        slow_start: slow_start?,
        // Clients would be led to where they were; the zone is not heeded either.
        rebalance_rate: if affinity { 0 } else { rebalance_rate? },
        breaker: breaker?,
        connect_timeout: connect_timeout?,
        zone: if affinity { control::zone::Settings::Ignored } else { zone? },
        // As the data plane is told, which reports what is wrong with them.
        source_addresses: limits::sources(raw, &mut again)?.addresses().collect(),
        // The start-up checks find out.
        probes_max: control::MAX_PROBES,
    })
}

fn breaker_settings(raw: &var::Raw, read: &mut Reader) -> Option<control::breaker::Settings> {
    let text = raw.circuit_breaker_threshold.as_deref();
    let threshold = read.value(var::CIRCUIT_BREAKER_THRESHOLD, text, value::number(1..=1000));
    let text = raw.circuit_breaker_timeout.as_deref();
    let timeout = read.value(var::CIRCUIT_BREAKER_TIMEOUT, text, value::period(Minutes));
    Some(control::breaker::Settings { threshold: threshold?, timeout: timeout? })
}

fn health_settings(raw: &var::Raw, read: &mut Reader) -> Option<control::health::Settings> {
    let text = raw.health_check_period.as_deref();
    let period = read.value(var::HEALTH_CHECK_PERIOD, text, value::period(Seconds));
    let path = read.value(var::HEALTH_CHECK_PATH, raw.health_check_path.as_deref(), value::own);
    let text = raw.health_check_timeout.as_deref();
    let timeout = read.value(var::HEALTH_CHECK_TIMEOUT, text, value::period(Seconds));
    let text = raw.health_check_port.as_deref();
    let port = read.optional(var::HEALTH_CHECK_PORT, text, value::number(1..=u16::MAX));
    let text = raw.health_check_status.as_deref();
    let status = read.value(var::HEALTH_CHECK_STATUS, text, value::own);
    let text = raw.health_check_rise.as_deref();
    let rise = read.value(var::HEALTH_CHECK_RISE, text, value::number(1..=100));
    let text = raw.health_check_fall.as_deref();
    let fall = read.value(var::HEALTH_CHECK_FALL, text, value::number(1..=100));
    let proxy_header = proxy_protocol::of_health_checks(raw, read);
    Some(control::health::Settings {
        period: period?,
        path: path?,
        timeout: timeout?,
        port: port?,
        status: status?,
        rise: rise?,
        fall: fall?,
        proxy_header: proxy_header?,
    })
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
