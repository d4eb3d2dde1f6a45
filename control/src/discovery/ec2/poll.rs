pub(super) mod api;
pub(crate) mod filter;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use exchange::Target;

use crate::discovery::ec2::fault::{DESCRIBE_GROUPS, DESCRIBE_INSTANCES};
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::mode::Mode;
use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::label::Label;
use api::{Api, Filter, Instance};
use filter::{Ignored, Reason};

/// Most instance ids that a filter may name (EC2 API Reference, Filter: 200 values).
const IDS_PER_CALL: usize = 200;

/// Most pages of one answer: an API that never comes to an end is not followed for ever.
const PAGES_MAX: usize = 1000;

/// What AWS knows of the targets at one moment.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The targets, ordered by id.
    pub targets: Vec<Target>,
    /// The instances of which AWS says that they are none, ordered by id.
    pub ignored: Vec<Ignored>,
    /// Ids of members in service that EC2 does not know: of these nothing is certain.
    pub missing: Vec<String>,
    /// Whether the Auto Scaling Group exists; true where none was asked for.
    pub group_exists: bool,
}

/// Asks `api` for all there is. `in_use` are the targets that are confirmed: one keeps its address
/// as long as AWS lists it.
///
/// # Errors
/// The first answer that did not come, or made no sense.
pub(super) async fn poll(
    api: &impl Api,
    settings: &AwsSettings,
    in_use: &[Target],
) -> Result<Found, Fault> {
    let mut found = Found { group_exists: true, ..Found::default() };
    let instances = match &settings.mode {
        Mode::Tag { name, value } => {
            let filter = Filter { name: format!("tag:{name}"), values: vec![value.clone()] };
            instances(api, &filter, settings).await?
        }
        Mode::Asg { name } => {
            let members = members(api, name, settings, &mut found).await?;
            let known = lookup(api, &members, settings).await?;
            found.missing = members.into_iter().filter(|id| !known.contains_key(id)).collect();
            known
        }
    };
    let in_use: HashSet<_> = in_use.iter().map(|target| (&target.id, target.address)).collect();
    let mut candidates = Vec::new();
    for instance in instances.values() {
        match filter::target(instance, settings) {
            Ok(target) => candidates.push(target),
            Err(ignored) => found.ignored.push(ignored),
        }
    }
    // Stable: else the lowest id has an address.
    candidates.sort_by_key(|target| !in_use.contains(&(&target.id, target.address)));
    let mut addresses = HashSet::new();
    for target in candidates {
        if addresses.insert(target.address) {
            found.targets.push(target);
        } else {
            found.ignored.push(Ignored {
                id: target.id.to_string(),
                reason: Reason::DuplicateAddress,
                address: Some(target.address),
            });
        }
    }
    found.targets.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    found.ignored.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// The ids of the members in service. Others are ignored, and whether there is a group is noted.
async fn members(
    api: &impl Api,
    group: &str,
    settings: &AwsSettings,
    found: &mut Found,
) -> Result<BTreeSet<String>, Fault> {
    let mut ids = BTreeSet::new();
    let mut token = None;
    found.group_exists = false;
    for _ in 0..PAGES_MAX {
        let page = api.members(group, token).await?;
        found.group_exists |= !page.items.is_empty();
        for member in page.items.into_iter().flat_map(|group| group.members) {
            let id = checked_id(member.id, DESCRIBE_GROUPS, settings)?;
            if member.in_service {
                ids.insert(id);
            } else {
                let reason = Reason::NotInService;
                found.ignored.push(Ignored { id, reason, address: None });
            }
        }
        token = page.next;
        if token.is_none() {
            return Ok(ids);
        }
    }
    Err(endless(DESCRIBE_GROUPS, settings))
}

/// The instances with these ids, as far as EC2 knows them. They are looked up by a filter: a call
/// by ids fails as a whole when one of them is unknown.
async fn lookup(
    api: &impl Api,
    ids: &BTreeSet<String>,
    settings: &AwsSettings,
) -> Result<BTreeMap<String, Instance>, Fault> {
    let ids: Vec<_> = ids.iter().cloned().collect();
    let mut known = BTreeMap::new();
    for chunk in ids.chunks(IDS_PER_CALL) {
        let filter = Filter { name: "instance-id".to_owned(), values: chunk.to_vec() };
        known.append(&mut instances(api, &filter, settings).await?);
    }
    // Nothing is forwarded to an instance that nobody asked for.
    known.retain(|id, _| ids.binary_search(id).is_ok());
    Ok(known)
}

async fn instances(
    api: &impl Api,
    filter: &Filter,
    settings: &AwsSettings,
) -> Result<BTreeMap<String, Instance>, Fault> {
    assert!(!filter.values.is_empty(), "a filter without values asks for nothing");
    let mut known = BTreeMap::new();
    let mut token = None;
    for _ in 0..PAGES_MAX {
        let page = api.instances(filter, token).await?;
        for mut instance in page.items {
            instance.id = checked_id(instance.id, DESCRIBE_INSTANCES, settings)?;
            instance.zone = instance.zone.and_then(|zone| Some(label(zone)?.as_str().to_owned()));
            known.insert(instance.id.clone(), instance);
        }
        token = page.next;
        if token.is_none() {
            return Ok(known);
        }
    }
    Err(endless(DESCRIBE_INSTANCES, settings))
}

/// An id goes into logs, answers and metrics as it is.
fn checked_id(id: String, action: &'static str, settings: &AwsSettings) -> Result<String, Fault> {
    let id = label(id).map(|id| id.as_str().to_owned());
    id.ok_or_else(|| malformed(action, "an instance in it has no usable id".to_owned(), settings))
}

fn label(text: String) -> Option<Label> {
    Label::try_from(text).ok().filter(|label| label.given().is_some())
}

fn endless(action: &'static str, settings: &AwsSettings) -> Fault {
    malformed(action, format!("it goes on after {PAGES_MAX} pages"), settings)
}

fn malformed(action: &'static str, reason: String, settings: &AwsSettings) -> Fault {
    Fault::new(FaultKind::Malformed, action, reason, settings)
}

#[cfg(test)]
pub(super) mod tests;
