use super::remark::Remark;
use crate::config::environment::Environment;
use crate::config::table::{self, Row};

/// A line for each variable that is set and has no effect, since one of its conditions does not hold.
pub(super) fn unused(environment: &Environment) -> Vec<Remark> {
    table::rows().filter_map(|row| unused_variable(row, environment)).collect()
}

fn unused_variable(row: &Row, environment: &Environment) -> Option<Remark> {
    let written = environment.written(row)?;
    let value_of = |row: &'static Row| {
        environment.written(row).map_or(row.default.as_str(), |written| written.text)
    };
    let is_default = written.text == row.default.as_str();
    let mut conditions = row.conditions.iter();
    let broken = conditions.find(|condition| {
        let is_spared = condition.spares_default && is_default;
        !is_spared && !condition.holds(value_of(condition.on))
    })?;
    let (name, on) = (written.name, broken.on);
    let text = format!("{name} is set, but {}={} {}", on.name, value_of(on), broken.otherwise);
    Some(Remark::warning(name, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        unused(&variables.collect()).iter().map(ToString::to_string).collect()
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

    #[test]
    fn what_a_check_does_not_do_needs_no_settings() {
        let told = |name: &str, value: &str, protocol: &str| {
            lines(&[(name, value), ("HEALTH_CHECK_PROTOCOL", protocol)])
        };
        for (name, value) in [("HEALTH_CHECK_PATH", "/"), ("HEALTH_CHECK_HOST", "a.example")] {
            assert!(told(name, value, "http").is_empty() && told(name, value, "").is_empty());
            let line = format!("{name} is set, but HEALTH_CHECK_PROTOCOL=tcp does not read it");
            assert_eq!(told(name, value, "tcp"), [line]);
        }
        assert!(told("HEALTH_CHECK_PERIOD", "5", "tcp").is_empty());
        let line = "HEALTH_CHECK_PERIOD is set, but HEALTH_CHECK_PROTOCOL=none checks nothing";
        assert_eq!(told("HEALTH_CHECK_PERIOD", "5", "none"), [line]);
    }
}
