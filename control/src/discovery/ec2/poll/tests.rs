use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::discovery::ec2::poll::api::{AutoScalingGroup, GroupMember, Page};

/// An AWS of two answers, given in pages of two, that counts and checks the questions.
#[derive(Default)]
struct Fake {
    /// None: there is no such group.
    members: Option<Vec<(&'static str, bool)>>,
    instances: Vec<Instance>,
    endless: bool,
    /// The filters of the instances that were asked for, a call each.
    asked: Mutex<Vec<Filter>>,
}

const PAGE: usize = 2;

fn page<T: Clone>(all: &[T], token: Option<String>) -> Page<T> {
    let start: usize = token.map_or(0, |token| token.parse().unwrap());
    let end = all.len().min(start + PAGE);
    Page { items: all[start..end].to_vec(), next: (end < all.len()).then(|| end.to_string()) }
}

impl Api for Fake {
    async fn members(
        &self,
        name: &str,
        token: Option<String>,
    ) -> Result<Page<AutoScalingGroup>, Fault> {
        assert_eq!(name, "group");
        let Some(members) = &self.members else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let members: Vec<_> = members
            .iter()
            .map(|&(id, in_service)| GroupMember { id: id.to_owned(), in_service })
            .collect();
        let page = page(&members, token);
        Ok(Page { items: vec![AutoScalingGroup { members: page.items }], next: page.next })
    }

    async fn instances(
        &self,
        filter: &Filter,
        token: Option<String>,
    ) -> Result<Page<Instance>, Fault> {
        assert!(!filter.values.is_empty() && filter.values.len() <= IDS_PER_CALL);
        if self.endless {
            return Ok(Page { items: Vec::new(), next: Some("more".to_owned()) });
        }
        if token.is_none() {
            self.asked.lock().unwrap().push(filter.clone());
        }
        let is_asked_for = |instance: &&Instance| {
            filter.name != "instance-id" || filter.values.contains(&instance.id)
        };
        let asked: Vec<_> = self.instances.iter().filter(is_asked_for).cloned().collect();
        Ok(page(&asked, token))
    }
}

pub(in super::super) fn settings(mode: &str) -> AwsSettings {
    let mode = match mode {
        "asg" => Mode::Asg { name: "group".to_owned() },
        _ => Mode::Tag { name: "Name".to_owned(), value: "worker".to_owned() },
    };
    AwsSettings {
        mode,
        region: None,
        default_region: "eu-west-1".to_owned(),
        default_port: 30080,
        own_address: "0.0.0.0:8080".parse().unwrap(),
        allow_loopback: false,
        shrink_limit: 50,
        period: Duration::from_secs(10),
        proxies: Vec::new(),
    }
}

pub(in super::super) fn instance(id: &str, address: &str) -> Instance {
    Instance {
        id: id.to_owned(),
        running: true,
        address: Some(address.to_owned()),
        zone: Some("eu-west-1a".to_owned()),
    }
}

fn find(fake: &Fake, mode: &str) -> Result<Found, Fault> {
    find_again(fake, mode, &[])
}

/// The same, while these are in use: ids and addresses.
fn find_again(fake: &Fake, mode: &str, in_use: &[(&str, &str)]) -> Result<Found, Fault> {
    let in_use: Vec<_> = in_use
        .iter()
        .map(|&(id, address)| filter::target(&instance(id, address), &settings(mode)).unwrap())
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(poll(fake, &settings(mode), &in_use))
}

fn ids(found: &Found) -> String {
    found.targets.iter().map(|target| target.id.to_string()).collect::<Vec<_>>().join(" ")
}

fn ignored(found: &Found) -> String {
    let one = |ignored: &Ignored| format!("{} {}", ignored.id, ignored.reason.label());
    found.ignored.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_tag_finds_running_instances_over_all_pages() {
    let mut fake = Fake {
        instances: (1..=5).map(|n| instance(&format!("i-{n}"), &format!("10.0.0.{n}"))).collect(),
        ..Fake::default()
    };
    fake.instances[1].running = false;
    fake.instances[2].address = None;
    let found = find(&fake, "tag").unwrap();
    assert_eq!(ids(&found), "i-1 i-4 i-5");
    assert_eq!(ignored(&found), "i-2 not_running, i-3 no_private_address");
    let asked = fake.asked.into_inner().unwrap();
    assert_eq!(asked, [Filter { name: "tag:Name".to_owned(), values: vec!["worker".to_owned()] }]);
}

#[test]
fn a_group_finds_its_members_in_service() {
    let fake = Fake {
        members: Some(vec![("i-3", true), ("i-1", true), ("i-2", false)]),
        instances: (1..=4).map(|n| instance(&format!("i-{n}"), &format!("10.0.0.{n}"))).collect(),
        ..Fake::default()
    };
    let found = find(&fake, "asg").unwrap();
    assert_eq!(ids(&found), "i-1 i-3");
    assert_eq!(ignored(&found), "i-2 not_in_service");
    assert!(found.missing.is_empty() && found.group_exists);
    let asked = fake.asked.into_inner().unwrap();
    assert_eq!(asked[0].values, ["i-1", "i-3"]);
}

#[test]
fn members_that_ec2_does_not_know_are_missing() {
    let fake = Fake {
        members: Some(vec![("i-1", true), ("i-2", true), ("i-3", false)]),
        instances: vec![instance("i-1", "10.0.0.1")],
        ..Fake::default()
    };
    let found = find(&fake, "asg").unwrap();
    assert_eq!(ids(&found), "i-1");
    assert_eq!(found.missing, ["i-2"]);
}

#[test]
fn the_one_in_use_keeps_its_address_as_long_as_it_is_listed() {
    let mut fake = Fake {
        instances: ["i-1", "i-2", "i-3"].map(|id| instance(id, "10.0.0.1")).to_vec(),
        ..Fake::default()
    };
    let found = find_again(&fake, "tag", &[("i-2", "10.0.0.1")]).unwrap();
    assert_eq!(ids(&found), "i-2");
    assert_eq!(ignored(&found), "i-1 duplicate_address, i-3 duplicate_address");
    fake.instances[1].running = false;
    let found = find_again(&fake, "tag", &[("i-2", "10.0.0.1")]).unwrap();
    assert_eq!(ids(&found), "i-1");
    // It is elsewhere now: who has its id there has no claim here.
    fake.instances[1] = instance("i-2", "10.0.0.2");
    let found = find_again(&fake, "tag", &[("i-2", "10.0.0.1")]).unwrap();
    assert_eq!(ids(&found), "i-1 i-2");
}

#[test]
fn nothing_is_asked_about_nobody() {
    for members in [None, Some(vec![]), Some(vec![("i-1", false)])] {
        let fake = Fake { members: members.clone(), ..Fake::default() };
        let found = find(&fake, "asg").unwrap();
        assert!(found.targets.is_empty() && found.missing.is_empty());
        assert_eq!(found.group_exists, members.is_some());
        assert!(fake.asked.into_inner().unwrap().is_empty());
    }
}

#[test]
fn many_members_are_looked_up_in_calls_of_two_hundred() {
    let names: Vec<&'static str> =
        (0..450).map(|n| &*Box::leak(format!("i-{n:03}").into_boxed_str())).collect();
    let fake = Fake {
        members: Some(names.iter().map(|&id| (id, true)).collect()),
        instances: (0..450)
            .map(|n| instance(names[n], &format!("10.0.{}.{}", n / 200, n % 200)))
            .collect(),
        ..Fake::default()
    };
    let found = find(&fake, "asg").unwrap();
    assert_eq!(found.targets.len(), 450);
    let asked = fake.asked.into_inner().unwrap();
    assert_eq!(asked.iter().map(|f| f.values.len()).collect::<Vec<_>>(), [200, 200, 50]);
}

#[test]
fn one_address_is_one_target() {
    let fake = Fake {
        instances: vec![instance("i-2", "10.0.0.1"), instance("i-1", "10.0.0.1")],
        ..Fake::default()
    };
    let found = find(&fake, "tag").unwrap();
    assert_eq!(ids(&found), "i-1");
    assert_eq!(ignored(&found), "i-2 duplicate_address");
}

#[test]
fn what_makes_no_sense_is_no_answer() {
    let endless = Fake { endless: true, ..Fake::default() };
    let nameless = Fake { instances: vec![instance("", "10.0.0.1")], ..Fake::default() };
    let forged = Fake { instances: vec![instance("i-1\nx", "10.0.0.1")], ..Fake::default() };
    for fake in [endless, nameless, forged] {
        assert_eq!(find(&fake, "tag").unwrap_err().kind, FaultKind::Malformed);
    }
    let mut odd_zone = instance("i-1", "10.0.0.1");
    odd_zone.zone = Some("a\nb".to_owned());
    let found = find(&Fake { instances: vec![odd_zone], ..Fake::default() }, "tag").unwrap();
    assert_eq!(found.targets[0].zone, None);
}
