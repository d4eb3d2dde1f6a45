use super::*;

fn tracker() -> DnsTracker {
    DnsTracker::new(&DnsSettings {
        name: "workers.example".parse().unwrap(),
        server: None,
        default_port: 80,
        own_address: "0.0.0.0:8080".parse().unwrap(),
        period: std::time::Duration::from_secs(10),
    })
}

fn records(hosts: &[u8]) -> Resolved {
    let target = |&host: &u8| Target::at(([10, 0, 0, host], 80).into());
    Resolved { targets: hosts.iter().map(target).collect(), ..Resolved::default() }
}

fn fault(kind: DnsFaultKind) -> DnsFault {
    DnsFault::new(kind, "a reason")
}

/// The last bytes of the addresses of the targets.
fn hosts(progress: &DnsProgress) -> Vec<u8> {
    let targets = progress.targets.as_ref().expect("there was an answer");
    let host = |target: &Target| match target.address.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(_) => unreachable!("none was given"),
    };
    targets.iter().map(host).collect()
}

#[test]
fn newcomers_join_at_once_and_the_missing_leave_after_three_answers() {
    let mut tracker = tracker();
    let mut follow = |answered: &[u8]| hosts(&tracker.follow(&Ok(records(answered))));
    assert_eq!(follow(&[1, 2, 3, 4]), [1, 2, 3, 4]);
    assert_eq!(follow(&[1, 2, 3, 5]), [1, 2, 3, 4, 5]);
    assert_eq!(follow(&[1, 2, 3, 5]), [1, 2, 3, 4, 5]);
    assert_eq!(follow(&[1, 2, 3, 5]), [1, 2, 3, 5]);
    // A server that names some in turn loses none.
    for _ in 0..4 {
        assert_eq!(follow(&[1, 2]), [1, 2, 3, 5]);
        assert_eq!(follow(&[3, 5]), [1, 2, 3, 5]);
    }
}

#[test]
fn errors_change_nothing_and_empty_answers_are_doubted() {
    let mut tracker = tracker();
    tracker.follow(&Ok(records(&[1, 2])));
    for _ in 0..10 {
        assert!(tracker.follow(&Err(fault(DnsFaultKind::Timeout))).targets.is_none());
    }
    for left in [vec![1, 2], vec![1, 2], vec![]] {
        assert!(!tracker.follow(&Err(fault(DnsFaultKind::Refused))).is_good);
        assert_eq!(hosts(&tracker.follow(&Ok(records(&[])))), left);
    }
}

#[test]
fn problems_are_told_when_they_begin_and_when_all_are_over() {
    let mut tracker = tracker();
    let mut told = |refreshed| {
        let lines = tracker.follow(&refreshed).lines.into_iter();
        lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    };
    let line = told(Err(fault(DnsFaultKind::Timeout)));
    assert!(line.contains("workers.example: a reason") && line.contains("no target"), "{line}");
    assert_eq!(told(Err(fault(DnsFaultKind::Timeout))), "");
    assert_eq!(told(Ok(records(&[1]))), "discovery by DNS works again: 1 targets");
    assert_eq!(told(Ok(records(&[1]))), "");
    let line = told(Ok(records(&[])));
    assert!(line.contains("until 3 answers") && line.contains("1 targets stay"), "{line}");
    let line = told(Err(fault(DnsFaultKind::Timeout)));
    assert!(line.contains("targets stay in use (1)"), "{line}");
    assert_eq!(told(Ok(records(&[]))) + &told(Err(fault(DnsFaultKind::Timeout))), "");
    assert!(told(Ok(records(&[2]))).contains("works again"));
}

#[test]
fn what_is_no_target_is_told_once() {
    let mut tracker = tracker();
    let told = |reasons: &[&str]| {
        let ignored = reasons.iter().map(|&it| it.to_owned()).collect();
        tracker.follow(&Ok(Resolved { ignored, ..records(&[1]) })).lines.len()
    };
    let rounds: [&[&str]; 5] = [&["a"], &["a"], &["a", "b"], &[], &["b"]];
    assert_eq!(rounds.map(told), [1, 0, 1, 0, 1]);
}
