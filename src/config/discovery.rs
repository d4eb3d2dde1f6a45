use std::net::SocketAddr;
use std::path::PathBuf;

use control::discovery::{FileSettings, Settings, admit, parse_targets, read_file};

use super::reader::Reader;
use super::value::{self, NodeFilter};
use super::variable::{self as var, Raw};

/// Where the targets come from. `listen` is where clients connect, if that could be parsed.
pub(super) fn settings(
    raw: &Raw,
    listen: Option<SocketAddr>,
    read: &mut Reader,
) -> Option<Settings> {
    let filter = read.value(var::NODE_FILTER, raw.node_filter.as_deref(), value::node_filter);
    let text = raw.target_port.as_deref();
    let target_port = read.value(var::TARGET_PORT, text, value::number(1..=u16::MAX));
    // With a port that is bad, any will do to check the rest.
    let default_port = target_port.unwrap_or(1);
    // Without an address of its own, the balancer has a worse problem.
    let may_be_target = |target: &_| listen.map_or(Ok(()), |own| admit(target, own));
    let parse = |text: &str| parse_targets(text, default_port, may_be_target);
    let targets = read.optional(var::TARGETS, raw.targets.as_deref(), parse);
    match filter? {
        NodeFilter::Static => {
            let Some(targets) = targets? else {
                let reason = "is not set, and NODE_FILTER=static needs it; accepted: \
                              ip[:port][@zone], comma separated";
                read.refuse(var::TARGETS, None, reason);
                return None;
            };
            Some(Settings::Static(targets))
        }
        NodeFilter::File => {
            let Some(path) = &raw.targets_file else {
                let reason = "is not set, and NODE_FILTER=file needs it; accepted: the path of a \
                              Prometheus file_sd JSON file";
                read.refuse(var::TARGETS_FILE, None, reason);
                return None;
            };
            let path = PathBuf::from(path);
            let settings = FileSettings { path, default_port, own_address: listen? };
            match read_file(&settings) {
                Ok(_) => Some(Settings::File(settings)),
                Err(reason) => {
                    read.refuse(var::TARGETS_FILE, raw.targets_file.as_deref(), &reason);
                    None
                }
            }
        }
        NodeFilter::Asg | NodeFilter::Tag => {
            let reason = "needs AWS discovery, and this build was made without; accepted: \
                          static, file";
            read.refuse(var::NODE_FILTER, raw.node_filter.as_deref(), reason);
            None
        }
    }
}
