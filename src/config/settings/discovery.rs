use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use control::discovery::{FileSettings, Settings, admit, parse_targets, read_file};

use exchange::Target;

use super::aws::{Aws, Common};
use crate::config::reader::Reader;
use crate::config::table::{self as var, Raw};
use crate::config::value::{self, NodeFilter};

/// Where the targets come from. `listen` is where clients connect and `period` the time between two
/// discoveries, if these could be parsed.
pub(in crate::config) fn settings(
    raw: &Raw,
    listen: Option<SocketAddr>,
    period: Option<Duration>,
    read: &mut Reader,
) -> Option<Settings> {
    let filter = read.value(var::NODE_FILTER, raw.node_filter.as_deref(), value::node_filter);
    // With a port that is bad, any will do to check the rest.
    let default_port = target_port(raw, read).unwrap_or(1);
    // Without an address of its own, the balancer has a worse problem.
    let may_be_target = |target: &_| listen.map_or(Ok(()), |own| admit(target, own));
    let parse = |text: &str| parse_targets(text, default_port, may_be_target);
    let targets = read.optional(var::TARGETS, raw.targets.as_deref(), parse);
    let aws = Aws::read(raw, read);
    if let Some(reason) = not_chosen(raw) {
        read.refuse_unset(var::NODE_FILTER, &reason);
        return None;
    }
    match filter? {
        NodeFilter::Static => static_targets(targets?, read),
        NodeFilter::File => target_file(raw, default_port, listen, read),
        filter @ (NodeFilter::Asg | NodeFilter::Tag) => {
            refuse_without_aws(raw, read);
            let common = Common { default_port, own_address: listen?, period: period? };
            from_aws(aws?, filter == NodeFilter::Tag, common)
        }
    }
}

/// Why the default of `NODE_FILTER` cannot be meant: a variable is set that another value reads. The
/// balancer would look for targets in AWS for ever.
fn not_chosen(raw: &Raw) -> Option<String> {
    let sources = [
        ("static", var::TARGETS, &raw.targets),
        ("file", var::TARGETS_FILE, &raw.targets_file),
        ("tag", var::TAG_NAME, &raw.tag_name),
        ("tag", var::TAG_VALUE, &raw.tag_value),
    ];
    let set = sources.iter().filter(|(_, _, value)| value.is_some());
    let readers: Vec<_> =
        set.map(|(filter, variable, _)| format!("{filter} reads {}", variable.name)).collect();
    (raw.node_filter.is_none() && !readers.is_empty())
        .then(|| format!("is not set: {}; accepted: asg, tag, static or file", readers.join(", ")))
}

/// The port of targets that name none.
pub(in crate::config) fn target_port(raw: &Raw, read: &mut Reader) -> Option<u16> {
    read.value(var::TARGET_PORT, raw.target_port.as_deref(), value::number(1..=u16::MAX))
}

#[cfg(feature = "aws")]
#[expect(clippy::unnecessary_wraps, reason = "other builds have none")]
fn from_aws(aws: Aws, by_tag: bool, common: Common) -> Option<Settings> {
    Some(aws.settings(by_tag, common))
}

#[cfg(feature = "aws")]
fn refuse_without_aws(_: &Raw, _: &mut Reader) {}

#[cfg(not(feature = "aws"))]
fn from_aws(_: Aws, _: bool, _: Common) -> Option<Settings> {
    None
}

#[cfg(not(feature = "aws"))]
fn refuse_without_aws(raw: &Raw, read: &mut Reader) {
    let reason = "needs AWS discovery, and this build was made without; accepted: static, file";
    read.refuse(var::NODE_FILTER, raw.node_filter.as_deref(), reason);
}

fn static_targets(targets: Option<Vec<Target>>, read: &mut Reader) -> Option<Settings> {
    let Some(targets) = targets else {
        let reason = "is not set, and NODE_FILTER=static needs it; accepted: \
                      ip[:port][@zone], comma separated";
        read.refuse(var::TARGETS, None, reason);
        return None;
    };
    Some(Settings::Static(targets))
}

fn target_file(
    raw: &Raw,
    default_port: u16,
    own_address: Option<SocketAddr>,
    read: &mut Reader,
) -> Option<Settings> {
    let Some(path) = &raw.targets_file else {
        let reason = "is not set, and NODE_FILTER=file needs it; accepted: the path of a \
                      Prometheus file_sd JSON file";
        read.refuse(var::TARGETS_FILE, None, reason);
        return None;
    };
    let path = PathBuf::from(path);
    // Without an address of its own, the balancer is nobody's target: the file can be read all the same.
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
    let settings = FileSettings { path, default_port, own_address: own_address.unwrap_or(nowhere) };
    match read_file(&settings) {
        Ok(_) => Some(Settings::File(settings)),
        Err(reason) => {
            // Whoever writes it may be late, or about to mend it.
            read.refuse_for_now(var::TARGETS_FILE, raw.targets_file.as_deref(), &reason);
            None
        }
    }
}
