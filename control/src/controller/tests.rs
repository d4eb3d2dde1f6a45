use super::*;
use crate::roster::Rules;
use crate::{breaker, policy};
use exchange::TargetId;

#[test]
fn each_change_is_told_once_with_its_reason() {
    let mut roster = Roster::new(Rules { rise: 1, fall: 1, fail_open_threshold: 0, cores: 1 });
    let first = Target::at("10.0.0.1:80".parse().unwrap());
    let second = Target { id: TargetId::new("i-2"), ..first.clone() };
    let mut before = roster.snapshot();
    let mut lines = |roster: &mut Roster, failure: Option<&Failure>| -> Vec<String> {
        let after = roster.snapshot();
        let lines = changes(&before, &after, failure);
        before = after;
        lines.into_iter().map(|(level, line)| format!("{level} {line}")).collect()
    };

    roster.discovered(vec![first.clone()]);
    assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is checking"]);
    roster.checked(&Identity::of(&first), true);
    assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is healthy"]);
    roster.checked(&Identity::of(&first), false);
    assert_eq!(
        lines(&mut roster, Some(&Failure::Status(503))),
        [
            "WARN target 10.0.0.1:80 is unhealthy: status 503",
            "WARN fail-open begins: 0 of 1 targets are healthy, so all are used",
        ]
    );
    assert!(lines(&mut roster, Some(&Failure::Status(503))).is_empty());
    roster.discovered(vec![second]);
    assert_eq!(
        lines(&mut roster, None),
        [
            "INFO target 10.0.0.1:80 is draining",
            "INFO target 10.0.0.1:80 (i-2) is checking",
            "INFO fail-open ends: 0 of 1 targets are healthy",
        ]
    );
    roster.tick();
    roster.tick();
    assert_eq!(lines(&mut roster, None), ["INFO target 10.0.0.1:80 is gone"]);
    roster.discovered(vec![]);
    let none = "WARN no targets are left: clients are turned away until there are some";
    assert!(lines(&mut roster, None).contains(&none.to_owned()));
    roster.tick();
    roster.tick();
    assert!(!lines(&mut roster, None).contains(&none.to_owned()));
}
