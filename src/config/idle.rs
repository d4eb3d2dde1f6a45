use super::environment::Environment;
use super::variable::{NODE_FILTER, TABLE, Variable};

/// A log line for each variable that is set and has no effect, as its own meaning says: it waits for
/// a later release, another `NODE_FILTER` would read it, or what it is for is not turned on.
pub(super) fn without_effect(environment: &Environment) -> Vec<String> {
    let filter = environment.get(NODE_FILTER).unwrap_or(NODE_FILTER.default.as_str());
    let set = TABLE.iter().filter(|variable| environment.get(**variable).is_some());
    set.filter_map(|variable| line(*variable, filter, environment)).collect()
}

fn line(variable: Variable, filter: &str, environment: &Environment) -> Option<String> {
    let Variable { name, meaning, .. } = variable;
    if meaning.ends_with("takes effect with a later release") {
        return Some(format!("{name} is set, but takes effect with a later release"));
    }
    let (readers, _) = meaning.strip_prefix("for ")?.split_once(": ")?;
    if let Some(switch) = TABLE.iter().find(|switch| switch.name == readers) {
        let is_on = environment.get(*switch) == Some("true");
        return (!is_on).then(|| format!("{name} is set, but {readers} is not true"));
    }
    let is_read = readers.split(" and ").any(|reader| reader == filter);
    (!is_read).then(|| format!("{name} is set, but NODE_FILTER={filter} does not read it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_told_and_nothing_else() {
        let told = |variables: &[(&str, &str)]| {
            let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
            without_effect(&variables.collect())
        };
        let fine = [("NODE_FILTER", "static"), ("TARGETS", "10.0.0.1"), ("PORT", "80")];
        assert!(told(&fine).is_empty());
        let in_vain = [("NODE_FILTER", "static"), ("TARGETS_FILE", "/t"), ("POOL_SIZE", "")];
        assert_eq!(
            told(&in_vain),
            ["TARGETS_FILE is set, but NODE_FILTER=static does not read it"]
        );
        let zone = ("AVAILABILITY_ZONE", "a");
        assert!(told(&[zone, ("ZONE_AWARE", "true")]).is_empty());
        assert_eq!(told(&[zone]), ["AVAILABILITY_ZONE is set, but ZONE_AWARE is not true"]);
        assert_eq!(
            told(&[("TARGETS", "10.0.0.1"), ("ASG_NAME", "workers"), ("AWS_REGION", "us-east-1")]),
            ["TARGETS is set, but NODE_FILTER=asg does not read it"]
        );
    }
}
