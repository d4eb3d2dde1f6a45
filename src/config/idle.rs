use std::fmt;

use super::environment::Environment;
use super::variable::{BALANCE, NODE_FILTER, TABLE, Variable};

/// What has no say where a client's target follows from its address alone.
const UNHEEDED_BY_MAGLEV: [&str; 3] = ["ZONE_AWARE", "SLOW_START", "REBALANCE_RATE"];

/// A variable that is set and has no effect.
#[derive(Clone, Debug)]
pub(crate) struct Idle {
    pub(crate) name: &'static str,
    why: String,
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is set, but {}", self.name, self.why)
    }
}

/// Each variable that is set and has no effect, as its own meaning says: another
/// `NODE_FILTER` would read it, or what it is for is turned off; or
/// `BALANCE` leaves nothing to it.
pub(super) fn without_effect(environment: &Environment) -> Vec<Idle> {
    let set = TABLE.iter().filter(|variable| environment.get(**variable).is_some());
    set.filter_map(|variable| idle(*variable, environment)).collect()
}

fn idle(variable: Variable, environment: &Environment) -> Option<Idle> {
    let Variable { name, meaning, .. } = variable;
    if UNHEEDED_BY_MAGLEV.contains(&name)
        && environment.get(BALANCE) == Some("maglev")
        && environment.get(variable) != Some(variable.default.as_str())
    {
        let why =
            "BALANCE=maglev does not heed it: a client's target follows from its address alone";
        return Some(Idle { name, why: why.to_owned() });
    }
    let (readers, _) = meaning.strip_prefix("for ")?.split_once(": ")?;
    // Most are for some values of NODE_FILTER, others for another variable that is turned on.
    let switch = TABLE.iter().find(|variable| variable.name == readers);
    let (reader, wanted) = switch.map_or((NODE_FILTER, readers), |switch| (*switch, "true"));
    let value = environment.get(reader).unwrap_or(reader.default.as_str());
    let is_read = wanted.split(" and ").any(|wanted| wanted == value);
    (!is_read).then(|| Idle { name, why: format!("{}={value} does not read it", reader.name) })
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
            lines(&[("TARGETS", "10.0.0.1"), ("ASG_NAME", "workers"), ("AWS_REGION", "us-east-1")]),
            ["TARGETS is set, but NODE_FILTER=asg does not read it"]
        );
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
