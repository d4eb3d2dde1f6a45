use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::fault::{DnsFault, DnsFaultKind};
use super::resolved::Resolved;
use super::settings::DnsSettings;
use crate::threads::background::{self, Priority};
use crate::threads::guard;

/// Longest that a whole refresh may take.
const REFRESH_MAX: Duration = Duration::from_secs(10);
/// Longest that `DNS_SERVER` may take for one answer before it is asked anew, and how often it is: for
/// other servers `/etc/resolv.conf` says so.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
const SERVER_RETRIES: usize = 1;
/// Most addresses and SRV records that are taken.
const RECORDS_MAX: usize = 10_000;
/// Hosts of SRV records whose addresses are asked for at a time.
const HOSTS_AT_A_TIME: usize = 8;
/// Most aliases on the way to an address, as the library has it.
const ALIASES_MAX: usize = 8;

/// Asks for all there is: on a thread of its own, since thousands of records take milliseconds to
/// parse, and with a runtime and a resolver of their own, so that whatever a panic of the library
/// leaves behind is gone with them, and a `/etc/resolv.conf` that has changed holds.
pub(super) async fn resolve(settings: &Arc<DnsSettings>) -> Result<Resolved, DnsFault> {
    let asked = Arc::clone(settings);
    let (answer, answered) = oneshot::channel();
    let work = move || drop(answer.send(resolve_here(&asked)));
    background::spawn("dns", Priority::Ordinary, work)
        .map_err(|error| DnsFault::new(DnsFaultKind::Internal, format!("no thread: {error}")))?;
    answered.await.unwrap_or_else(|_| {
        Err(DnsFault::new(DnsFaultKind::Internal, "its thread has ended without an answer"))
    })
}

fn resolve_here(settings: &DnsSettings) -> Result<Resolved, DnsFault> {
    let asked = guard::call(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| DnsFault::new(DnsFaultKind::Internal, error.to_string()))?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(REFRESH_MAX, Box::pin(ask(settings))).await;
            asked.unwrap_or_else(|_| {
                let text = format!("no usable answer within {REFRESH_MAX:?}");
                Err(DnsFault::new(DnsFaultKind::Timeout, text))
            })
        })
    });
    asked.unwrap_or_else(|panicked| Err(DnsFault::panicked(&panicked)))
}

async fn ask(settings: &DnsSettings) -> Result<Resolved, DnsFault> {
    let questions = Questions { resolver: resolver(settings).map_err(|it| DnsFault::of(&it))? };
    let name = Name::from_ascii(settings.name.as_str());
    let name = name.map_err(|it| DnsFault::new(DnsFaultKind::Malformed, it.to_string()))?;
    if settings.name.is_service() {
        let (addresses, ttl) = questions.servers(&name).await?;
        return Ok(Resolved::of(addresses, ttl, settings));
    }
    let host = questions.addresses(&name).await?;
    if host.addresses.is_empty() {
        questions.refuse_circles(&name).await?;
    }
    let port = settings.default_port;
    let addresses = host.addresses.into_iter().map(|ip| SocketAddr::new(ip, port));
    Ok(Resolved::of(addresses, host.ttl, settings))
}

fn resolver(settings: &DnsSettings) -> Result<TokioResolver, NetError> {
    let mut builder = match settings.server {
        None => TokioResolver::builder_tokio()?,
        Some(server) => {
            let server = server.address();
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            let server = NameServerConfig::new(server.ip(), true, connections);
            let config = ResolverConfig::from_parts(None, vec![], vec![server]);
            let mut builder =
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().timeout = SERVER_TIMEOUT;
            builder.options_mut().attempts = SERVER_RETRIES;
            builder
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    builder.build()
}

/// The addresses of a host.
#[derive(Clone, Debug, Default)]
struct Host {
    addresses: Vec<IpAddr>,
    /// In seconds; `None` where there is no address.
    ttl: Option<u32>,
}

/// What is asked, one refresh long.
#[derive(Clone)]
struct Questions {
    resolver: TokioResolver,
}

impl Questions {
    /// What there is of this type; `None` if there is nothing.
    async fn lookup(&self, name: &Name, kind: RecordType) -> Result<Option<Lookup>, DnsFault> {
        match self.resolver.lookup(name.clone(), kind).await {
            Ok(lookup) if lookup.answers().len() > RECORDS_MAX => Err(too_many()),
            Ok(lookup) => Ok(Some(lookup)),
            Err(error) if error.is_no_records_found() => Ok(None),
            Err(error) => Err(DnsFault::of(&error)),
        }
    }

    /// The IPv4 addresses of a host, or its IPv6 addresses where it has none: a host that has both is
    /// one target.
    async fn addresses(&self, name: &Name) -> Result<Host, DnsFault> {
        for kind in [RecordType::A, RecordType::AAAA] {
            let Some(lookup) = self.lookup(name, kind).await? else { continue };
            let addresses: Vec<_> = lookup.answers().iter().filter_map(address).collect();
            if !addresses.is_empty() {
                return Ok(Host { addresses, ttl: shortest(lookup.answers()) });
            }
        }
        Ok(Host::default())
    }

    /// Where the servers are that SRV records of `name` name: those of the lowest priority, as all
    /// others are for when these cannot be reached (RFC 2782). Also the shortest time to live.
    async fn servers(&self, name: &Name) -> Result<(Vec<SocketAddr>, Option<u32>), DnsFault> {
        let Some(lookup) = self.lookup(name, RecordType::SRV).await? else {
            self.refuse_circles(name).await?;
            return Ok((Vec::new(), None));
        };
        let records: Vec<_> = lookup.answers().iter().filter_map(service).collect();
        let first = records.iter().map(|record| record.priority).min();
        // The root: there is decidedly no such service (RFC 2782).
        let records: Vec<_> = records
            .into_iter()
            .filter(|it| Some(it.priority) == first && !it.target.is_root())
            .collect();
        let hosts: BTreeSet<&Name> = records.iter().map(|record| &record.target).collect();
        let mut servers = Vec::new();
        let mut ttl = shortest(lookup.answers());
        let hosts: Vec<_> = hosts.into_iter().collect();
        for hosts in hosts.chunks(HOSTS_AT_A_TIME) {
            for (name, host) in self.hosts(hosts, &lookup).await? {
                ttl = [ttl, host.ttl].into_iter().flatten().min();
                for record in records.iter().filter(|record| record.target == name) {
                    let port = record.port;
                    servers.extend(host.addresses.iter().map(|&ip| SocketAddr::new(ip, port)));
                }
                if servers.len() > RECORDS_MAX {
                    return Err(too_many());
                }
            }
        }
        Ok((servers, ttl))
    }

    /// The addresses of all these: from the answer that named them, or from further ones.
    async fn hosts(&self, names: &[&Name], answer: &Lookup) -> Result<Vec<(Name, Host)>, DnsFault> {
        let mut asking = JoinSet::new();
        let mut hosts = Vec::new();
        for &name in names {
            // That an answer has no IPv4 address beside it does not mean that there is none.
            let beside = answer.additionals().iter();
            let beside: Vec<_> = beside
                .filter(|it| it.name == *name && it.record_type() == RecordType::A)
                .cloned()
                .collect();
            if beside.is_empty() {
                let (questions, mut name) = (self.clone(), name.clone());
                asking.spawn(async move {
                    // Names in records are whole.
                    name.set_fqdn(true);
                    let host = questions.addresses(&name).await;
                    host.map(|host| (name, host))
                });
            } else {
                let ttl = shortest(&beside);
                let addresses = beside.iter().filter_map(address).collect();
                hosts.push((name.clone(), Host { addresses, ttl }));
            }
        }
        while let Some(asked) = asking.join_next().await {
            let ended =
                |it: tokio::task::JoinError| DnsFault::new(DnsFaultKind::Internal, it.to_string());
            hosts.push(asked.map_err(ended)??);
        }
        Ok(hosts)
    }

    /// Whether a name without records is one because it is an alias of an alias without end.
    async fn refuse_circles(&self, name: &Name) -> Result<(), DnsFault> {
        let mut alias = name.clone();
        for _ in 0..=ALIASES_MAX {
            let Some(lookup) = self.lookup(&alias, RecordType::CNAME).await? else { return Ok(()) };
            let mut aliases = lookup.answers().iter().filter_map(|record| match &record.data {
                RData::CNAME(name) => Some(name.0.clone()),
                _ => None,
            });
            let Some(next) = aliases.next() else { return Ok(()) };
            alias = next;
        }
        let text =
            format!("its aliases (CNAME) go round in a circle, or are more than {ALIASES_MAX}");
        Err(DnsFault::new(DnsFaultKind::Malformed, text))
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(ip.0.into()),
        RData::AAAA(ip) => Some(ip.0.into()),
        _ => None,
    }
}

fn service(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(service) => Some(service),
        _ => None,
    }
}

fn shortest(records: &[Record]) -> Option<u32> {
    records.iter().map(|record| record.ttl).min()
}

fn too_many() -> DnsFault {
    let text = format!("it has more than {RECORDS_MAX} records");
    DnsFault::new(DnsFaultKind::TooLarge, text)
}
