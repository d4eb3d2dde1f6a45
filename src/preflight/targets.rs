use control::discovery::{DiscoverySettings, DnsSettings, read_file, resolve_once};
use control::health::CheckProtocol;
use control::{CheckFlaw, ServiceSettings, SingleCheck, check_targets};
use exchange::Target;

use super::findings::{Check, Findings};
use super::zone;
use crate::config::Config;
use crate::runtime;

/// Looks for targets once and checks each of them once.
/// As many at a time as `probes_max` says.
pub(super) fn examine(config: &Config, probes_max: usize, findings: &mut Findings) {
    let settings = &config.control;
    let runtime = match runtime::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return findings.failure(Check::Targets, None, error.to_string()),
    };
    runtime.block_on(async {
        let Some(targets) = discover(config, findings).await else { return };
        if let Some(zone) = zone::own(&settings.zone, findings) {
            zone::note_near(&zone, &targets, findings);
        }
        for service in &settings.services {
            let own = |target: Target| match service.target_port {
                Some(port) => target.at_port(port),
                None => target,
            };
            let own = targets.iter().cloned().map(own).collect();
            let checks = check_targets(&service.health, probes_max, own).await;
            note_results(&checks, service, config, findings);
        }
    });
    // Nobody waits for what is still under way.
    runtime.shutdown_background();
}

/// The targets, if there are any.
async fn discover(config: &Config, findings: &mut Findings) -> Option<Vec<Target>> {
    let (source, targets) = match &config.control.discovery {
        DiscoverySettings::Static(targets) => ("TARGETS".to_owned(), targets.clone()),
        DiscoverySettings::File(file) => {
            let name = format!("target file {}", file.path.to_string_lossy().escape_debug());
            match read_file(file) {
                Ok(targets) => (name, targets),
                Err(reason) => {
                    findings.failure(Check::Discovery, None, format!("{name} {reason}"));
                    return None;
                }
            }
        }
        DiscoverySettings::Dns(dns) => (dns.to_string(), resolve(dns, findings).await?),
        #[cfg(feature = "aws")]
        DiscoverySettings::Aws(aws) => {
            (aws.mode.to_string(), super::aws::discover(aws, findings).await?)
        }
    };
    let detail = format!("{source}: {} found", targets.len());
    if targets.is_empty() {
        findings.failure(Check::Discovery, None, detail);
        return None;
    }
    let is_at = |port: &u16| targets.iter().any(|target| target.address.port() == *port);
    let assumed = config.assumed_port.filter(is_at).map(|port| {
        format!("; TARGET_PORT is not set, its default {port} is assumed where no port is named")
    });
    findings.ok(Check::Discovery, None, detail + &assumed.unwrap_or_default());
    Some(targets)
}

/// The targets that DNS knows of; `None` if that could not be found out.
async fn resolve(dns: &DnsSettings, findings: &mut Findings) -> Option<Vec<Target>> {
    match resolve_once(dns).await {
        Ok(resolved) => {
            for reason in resolved.ignored {
                findings.warning(Check::Discovery, Some(dns.name.to_string()), reason);
            }
            Some(resolved.targets)
        }
        Err(fault) => {
            findings.failure(Check::Discovery, None, format!("{dns}: {fault}"));
            None
        }
    }
}

fn note_results(
    checks: &[SingleCheck],
    service: &ServiceSettings,
    config: &Config,
    findings: &mut Findings,
) {
    let passed = checks.iter().filter(|check| check.result.is_ok()).count();
    for check in checks {
        let target = &check.target;
        let subject = target.address.to_string();
        let id = target.id.as_str();
        let name = if id == subject { String::new() } else { format!("{id}: ") };
        let subject = Some(subject);
        match &check.result {
            Ok(took) => {
                let millis = took.as_secs_f64() * 1000.0;
                findings.ok(Check::Target, subject, format!("{name}answered in {millis:.1} ms"));
            }
            Err(reason) if passed == 0 => {
                findings.failure(Check::Target, subject, format!("{name}{reason}"));
            }
            Err(reason) => findings.warning(Check::Target, subject, format!("{name}{reason}")),
        }
    }
    let all = checks.len();
    let whose = service.port.map_or(String::new(), |port| format!("service {port}: "));
    let asked = asked(checks, service);
    let detail = format!("{whose}{passed} of {all} passed the health check ({asked})");
    if passed == all {
        findings.ok(Check::Targets, None, detail);
    } else {
        let variables = match service.health.protocol {
            CheckProtocol::Http => "HEALTH_CHECK_PATH, HEALTH_CHECK_PORT and HEALTH_CHECK_STATUS",
            CheckProtocol::Tcp | CheckProtocol::None => "HEALTH_CHECK_PORT",
        };
        let detail = format!(
            "{detail}; for the others check that their server runs, that their security group or \
             firewall lets this machine in, and {variables}{}",
            header_hint(checks, service, config).unwrap_or_default()
        );
        if passed == 0 {
            findings.failure(Check::Targets, None, detail);
        } else {
            findings.warning(Check::Targets, None, detail);
        }
    }
}

/// What each of them was asked.
fn asked(checks: &[SingleCheck], service: &ServiceSettings) -> String {
    let health = &service.health;
    let hosts: Vec<_> = checks.iter().map(|check| health.address_of(&check.target)).collect();
    match hosts.as_slice() {
        [one] => health.asked(one),
        many => health.asked(&format!("each one's address, as {}", many[0])),
    }
}

/// The classic mistake: of targets and checks, only one side has the header.
fn header_hint(
    checks: &[SingleCheck],
    service: &ServiceSettings,
    config: &Config,
) -> Option<&'static str> {
    let flaws = || checks.iter().filter_map(|check| check.result.as_ref().err()?.flaw());
    let hung_up = flaws().any(|it| matches!(it, CheckFlaw::Cut | CheckFlaw::Reset));
    // A header is no request.
    let is_bad_request = flaws().any(|it| *it == CheckFlaw::Status(400));
    let is_sent_by_checks = service.health.proxy_header.is_some();
    let mut told = config.dataplane.services.iter().filter(|it| it.port == service.port);
    let is_sent_for_clients = told.any(|it| it.proxy_header.is_some());
    match (is_sent_by_checks, is_sent_for_clients) {
        (true, _) if hung_up || is_bad_request => Some(
            ". Perhaps a server does not expect the PROXY protocol header that a check begins \
             with: HEALTH_CHECK_PROXY_PROTOCOL=false leaves it out",
        ),
        (false, true) if hung_up => Some(
            ". Perhaps a server expects a PROXY protocol header on checks, too, as PROXY_PROTOCOL \
             sends it for clients: HEALTH_CHECK_PROXY_PROTOCOL=true",
        ),
        (false, false) if hung_up => Some(
            ". Perhaps a server expects a PROXY protocol header: set PROXY_PROTOCOL, and \
             HEALTH_CHECK_PROXY_PROTOCOL=true",
        ),
        _ => None,
    }
}
