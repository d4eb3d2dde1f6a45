use std::fmt;

use super::environment::Environment;
use super::table::{
    ACCEPT_PROXY_PROTOCOL, BALANCE, NODE_CHECK_PERIOD, NODE_FILTER, PROXY_PROTOCOL,
    PROXY_PROTOCOL_TLVS, TABLE, Variable,
};

/// What has no say where a client's target follows from its address alone.
const UNHEEDED_BY_MAGLEV: [&str; 3] = ["ZONE_AWARE", "SLOW_START", "REBALANCE_RATE"];

/// A variable that is set and has no effect.
#[derive(Clone, Debug)]
pub(crate) struct Unused {
    pub(crate) name: &'static str,
    why: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set, but {}", self.name, self.why)
    }
}

/// Each variable that is set and has no effect, as its own meaning says: another `NODE_FILTER` would
/// read it, or what it is for is turned off; or another variable leaves nothing to it.
pub(super) fn without_effect(environment: &Environment) -> Vec<Unused> {
    let set = TABLE.iter().filter(|variable| environment.get(**variable).is_some());
    set.filter_map(|variable| idle(*variable, environment)).collect()
}

fn idle(variable: Variable, environment: &Environment) -> Option<Unused> {
    let Variable { name, meaning, .. } = variable;
    if UNHEEDED_BY_MAGLEV.contains(&name)
        && environment.get(BALANCE) == Some("maglev")
        && environment.get(variable) != Some(variable.default.as_str())
    {
        let why =
            "BALANCE=maglev does not heed it: a client's target follows from its address alone";
        return Some(Unused { name, why: why.to_owned() });
    }
    let value_of = |it: Variable| environment.get(it).unwrap_or(it.default.as_str());
    let because_of = |it: Variable, why: &str| {
        Some(Unused { name, why: format!("{}={} {why}", it.name, value_of(it)) })
    };
    if name == NODE_CHECK_PERIOD.name && value_of(NODE_FILTER) == "static" {
        return because_of(NODE_FILTER, "does not read it");
    }
    if name == PROXY_PROTOCOL_TLVS.name
        && value_of(ACCEPT_PROXY_PROTOCOL) == "true"
        && value_of(PROXY_PROTOCOL) != "v2"
    {
        return because_of(PROXY_PROTOCOL, "passes none on: only v2 has them");
    }
    let (readers, _) = meaning.strip_prefix("for ")?.split_once(": ")?;
    // Most are for some values of NODE_FILTER, others for another variable that is turned on.
    let switch = TABLE.iter().find(|variable| variable.name == readers);
    let (reader, wanted) = switch.map_or((NODE_FILTER, readers), |switch| (*switch, "true"));
    let is_read = wanted.split(" and ").any(|wanted| wanted == value_of(reader));
    if is_read { None } else { because_of(reader, "does not read it") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        without_effect(&variables.collect()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_read_is_told_and_nothing_else() {
        let fine = [("NODE_FILTER", "static"), ("TARGETS", "10.0.0.1"), ("PORT", "80")];
        assert!(lines(&fine).is_empty());
        let in_vain = [("NODE_FILTER", "static"), ("TARGETS_FILE", "/t"), ("POOL_SIZE", "")];
        assert_eq!(
            lines(&in_vain),
            ["TARGETS_FILE is set, but NODE_FILTER=static does not read it"]
        );
        assert_eq!(
            lines(&[("TRUSTED_PROXIES", "10.0.0.1")]),
            ["TRUSTED_PROXIES is set, but ACCEPT_PROXY_PROTOCOL=false does not read it"]
        );
        assert_eq!(
            lines(&[("TARGETS", "10.0.0.1"), ("ASG_NAME", "workers"), ("NODE_FILTER", "asg")]),
            ["TARGETS is set, but NODE_FILTER=asg does not read it"]
        );
    }

    #[test]
    fn targets_that_stay_are_not_looked_for_again() {
        let told = |filter: &str| {
            lines(&[("NODE_CHECK_PERIOD", "5"), ("NODE_FILTER", filter), ("TARGETS", "")])
        };
        let line = "NODE_CHECK_PERIOD is set, but NODE_FILTER=static does not read it";
        assert_eq!(told("static"), [line]);
        assert!(told("asg").is_empty() && told("").is_empty() && told("file").is_empty());
    }

    #[test]
    fn fields_of_a_header_need_a_second_version_to_go_on() {
        let told = |version: &str| {
            let accepts = ("ACCEPT_PROXY_PROTOCOL", "true");
            lines(&[("PROXY_PROTOCOL_TLVS", "pass"), accepts, ("PROXY_PROTOCOL", version)])
        };
        for (version, shown) in [("v1", "v1"), ("", "off")] {
            let line = format!(
                "PROXY_PROTOCOL_TLVS is set, but PROXY_PROTOCOL={shown} passes none on: only v2 \
                 has them"
            );
            assert_eq!(told(version), [line]);
        }
        assert!(told("v2").is_empty());
    }

    #[test]
    fn maglev_heeds_no_zones() {
        let told = |aware: &str, balance: &str| {
            lines(&[("ZONE_AWARE", aware), ("BALANCE", balance)]).len()
        };
        assert_eq!(told("true", "maglev"), 1);
        assert_eq!(told("false", "maglev") + told("", "maglev") + told("true", "random"), 0);
    }

    #[test]
    fn the_own_zone_is_read_where_zones_matter_whatever_the_filter() {
        let told = |aware: &str, filter: &str| {
            let zone = ("AVAILABILITY_ZONE", "eu-west-1a");
            lines(&[zone, ("ZONE_AWARE", aware), ("NODE_FILTER", filter)])
        };
        for filter in ["", "asg", "static"] {
            assert!(told("true", filter).is_empty());
            let line = "AVAILABILITY_ZONE is set, but ZONE_AWARE=false does not read it";
            assert_eq!(told("", filter), [line]);
        }
    }
}
