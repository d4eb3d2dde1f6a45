use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "aws")]
use control::discovery::DiscoverySettings;

use crate::config::reader::Reader;
use crate::config::table as var;

/// The variables of the modes that find targets in AWS. They are checked in every mode and build.
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "this build only checks them"))]
#[derive(Debug)]
pub(super) struct Aws {
    region: Option<String>,
    tag_name: String,
    tag_value: String,
    asg_name: String,
    shrink_limit: u8,
    allow_loopback: bool,
}

/// What holds in both modes, from variables of other parts.
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "this build only checks them"))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) default_port: u16,
    pub(super) own_address: SocketAddr,
    pub(super) period: Duration,
}

impl Aws {
    pub(super) fn read(read: &Reader<'_>) -> Option<Self> {
        // Its default comes after the profile's.
        let region = read.value(&var::AWS_REGION)?;
        let region = Some(region).filter(|_| read.is_set(&var::AWS_REGION));
        Some(Self {
            region: region.or(read.value(&var::AWS_DEFAULT_REGION)?),
            tag_name: read.value(&var::TAG_NAME)?,
            tag_value: read.value(&var::TAG_VALUE)?,
            asg_name: read.value(&var::ASG_NAME)?,
            shrink_limit: read.value(&var::DISCOVERY_SHRINK_LIMIT)?,
            allow_loopback: read.value(&var::ALLOW_LOOPBACK_TARGETS)?,
        })
    }

    /// Where the targets come from: for `NODE_FILTER` = `tag` if `by_tag`, else for `asg`.
    #[cfg(feature = "aws")]
    pub(super) fn settings(self, by_tag: bool, common: Shared) -> DiscoverySettings {
        use control::discovery::{AwsSettings, Mode};

        let mode = if by_tag {
            Mode::Tag { name: self.tag_name, value: self.tag_value }
        } else {
            Mode::Asg { name: self.asg_name }
        };
        DiscoverySettings::Aws(AwsSettings {
            mode,
            region: self.region,
            default_region: var::AWS_REGION.row.default.as_str().to_owned(),
            default_port: common.default_port,
            own_address: common.own_address,
            allow_loopback: self.allow_loopback,
            shrink_limit: self.shrink_limit,
            period: common.period,
            proxies: proxies(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())),
        })
    }
}

/// The variables that lead requests to AWS through a proxy, and those that lead them around it. They
/// are nobody's in particular: curl(1) heeds them, too.
#[cfg(feature = "aws")]
fn proxies(is_set: impl Fn(&str) -> bool) -> Vec<String> {
    const THROUGH: [&str; 6] =
        ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    const AROUND: [&str; 2] = ["NO_PROXY", "no_proxy"];
    if !THROUGH.iter().any(|name| is_set(name)) {
        return Vec::new();
    }
    let all = THROUGH.into_iter().chain(AROUND).filter(|name| is_set(name));
    all.map(str::to_owned).collect()
}

#[cfg(all(test, feature = "aws"))]
mod tests {
    use super::*;

    #[test]
    fn variables_for_proxies_count_where_one_leads_through_a_proxy() {
        let of = |set: &[&str]| proxies(|name| set.contains(&name));
        assert_eq!(of(&["no_proxy", "HTTPS_PROXY"]), ["HTTPS_PROXY", "no_proxy"]);
        assert_eq!(of(&["all_proxy", "http_proxy"]), ["http_proxy", "all_proxy"]);
        assert!(of(&["NO_PROXY", "PROXY"]).is_empty());
    }
}
