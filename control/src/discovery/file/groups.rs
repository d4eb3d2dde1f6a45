use std::fmt;

use exchange::{Target, TargetId};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::endpoint::Endpoint;
use super::super::label::Label;
use crate::log_lines::escaped::Escaped;

/// Reads the groups of a target file: UTF-8, JSON.
///
/// # Errors
/// What is wrong and where, in words of the file.
pub(super) fn parse(content: &[u8]) -> Result<Vec<TargetGroup>, String> {
    if let Some(mark) = byte_order_mark(content) {
        return Err(format!("it begins with {mark}: save it as UTF-8 without one"));
    }
    if content.trim_ascii().is_empty() {
        return Err("it is empty: a list without targets is []".to_owned());
    }
    let groups = serde_json::from_slice::<Groups>(content);
    groups.map(|groups| groups.0).map_err(|error| told(&error))
}

fn byte_order_mark(content: &[u8]) -> Option<&'static str> {
    match content {
        [0xef, 0xbb, 0xbf, ..] => Some("a byte order mark (BOM)"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("a byte order mark (BOM) of UTF-16"),
        _ => None,
    }
}

/// The line first, since a reason may be long.
fn told(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    // Serde's words. What it says was expected are the words of the visitors below.
    let kinds = what.strip_prefix("invalid type: ");
    let what = match kinds.and_then(|kinds| kinds.rsplit_once(", expected ")) {
        Some((found, rule)) => format!("{rule}, not {}", Escaped(found)),
        None if error.is_eof() => format!("the file ends too early ({what})"),
        None => what.to_owned(),
    };
    format!("line {line}: {what} (column {column})")
}

/// Targets with the same labels. A field that is null is an empty one, as for Prometheus. Unknown
/// fields are refused, as there: a misspelt `targets` must not look like an empty group.
#[derive(Debug)]
pub(super) struct TargetGroup {
    targets: Targets,
    labels: Labels,
}

impl TargetGroup {
    /// Its targets, with `default_port` where they name none.
    pub(super) fn targets(&self, default_port: u16) -> impl Iterator<Item = Target> {
        let id = self.labels.id.given().or(self.labels.ec2_id.given()).map(TargetId::new);
        let zone = self.labels.zone.given().or(self.labels.ec2_zone.given());
        self.targets.0.iter().map(move |endpoint| {
            let mut target = Target::at(endpoint.or_port(default_port));
            if let Some(id) = &id {
                target.id = id.clone();
            }
            target.zone = zone.map(Into::into);
            target
        })
    }
}

#[derive(Debug, Default)]
struct Targets(Vec<Endpoint>);

/// The labels that mean something here; others are ignored, whatever they hold.
#[derive(Debug, Default)]
struct Labels {
    zone: Label,
    id: Label,
    ec2_zone: Label,
    ec2_id: Label,
}

#[derive(Debug)]
struct Groups(Vec<TargetGroup>);

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(file: D) -> Result<Self, D::Error> {
        file.deserialize_seq(GroupsVisitor)
    }
}

impl<'de> Deserialize<'de> for TargetGroup {
    fn deserialize<D: Deserializer<'de>>(group: D) -> Result<Self, D::Error> {
        group.deserialize_map(GroupVisitor)
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(targets: D) -> Result<Self, D::Error> {
        targets.deserialize_seq(TargetsVisitor)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(labels: D) -> Result<Self, D::Error> {
        labels.deserialize_map(LabelsVisitor)
    }
}

struct GroupsVisitor;

impl<'de> Visitor<'de> for GroupsVisitor {
    type Value = Groups;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file must be a list of groups")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Groups, A::Error> {
        let mut groups = Vec::new();
        while let Some(group) = list.next_element()? {
            groups.push(group);
        }
        Ok(Groups(groups))
    }
}

struct GroupVisitor;

impl<'de> Visitor<'de> for GroupVisitor {
    type Value = TargetGroup;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a group must be an object with targets and labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut group: A) -> Result<TargetGroup, A::Error> {
        let (mut targets, mut labels) = (None, None);
        while let Some(field) = group.next_key::<String>()? {
            let is_second = match field.as_str() {
                "targets" => targets.replace(group.next_value::<Option<Targets>>()?).is_some(),
                "labels" => labels.replace(group.next_value::<Option<Labels>>()?).is_some(),
                unknown => {
                    return Err(Error::custom(format!(
                        "unknown field `{}`, a group has targets and labels only",
                        Escaped(unknown)
                    )));
                }
            };
            if is_second {
                return Err(Error::custom(format!("a group has {field} twice")));
            }
        }
        let targets = targets.ok_or_else(|| Error::custom("a group has no targets"))?;
        Ok(TargetGroup {
            targets: targets.unwrap_or_default(),
            labels: labels.flatten().unwrap_or_default(),
        })
    }
}

struct TargetsVisitor;

impl<'de> Visitor<'de> for TargetsVisitor {
    type Value = Targets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("targets must be a list of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Targets, A::Error> {
        let mut targets = Vec::new();
        while let Some(target) = list.next_element()? {
            let Value::String(target) = target else {
                return Err(Error::custom("targets must be a list of strings"));
            };
            targets.push(endpoint(&target).map_err(Error::custom)?);
        }
        Ok(Targets(targets))
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    // As in `TARGETS`.
    if let Some((endpoint, _)) = text.split_once('@')
        && endpoint.parse::<Endpoint>().is_ok()
    {
        let text = Escaped(text);
        return Err(format!("`{text}` names a zone: in a file that is the label `zone`"));
    }
    text.parse()
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels must be an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::default();
        while let Some(name) = object.next_key::<String>()? {
            let label = match name.as_str() {
                "zone" => &mut labels.zone,
                "id" => &mut labels.id,
                "__meta_ec2_availability_zone" => &mut labels.ec2_zone,
                "__meta_ec2_instance_id" => &mut labels.ec2_id,
                _ => {
                    object.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *label = match object.next_value()? {
                Value::Null => Label::default(),
                Value::String(value) => {
                    let value = Label::try_from(value);
                    value.map_err(|what| Error::custom(format!("the label `{name}`: {what}")))?
                }
                _ => return Err(Error::custom(format!("the label `{name}` must be a string"))),
            };
        }
        Ok(labels)
    }
}
