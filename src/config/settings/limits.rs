use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use dataplane::{Cidrs, Limits, Sources};

use crate::config::reader::Reader;
use crate::config::table as var;
use crate::config::value::list::each;
use crate::config::value::{self, Parsed};

/// More connections than any machine holds.
const CONNECTIONS_MAX: u32 = 1_000_000_000;

/// Who may connect, and how many at a time.
pub(in crate::config) fn limits(raw: &var::Raw, read: &mut Reader) -> Option<Limits> {
    let allowed = read.value(var::ALLOW_CIDRS, raw.allow_cidrs.as_deref(), allowed);
    let total = connections(raw, read);
    let text = raw.max_connections_per_client.as_deref();
    let number = value::number(0..=CONNECTIONS_MAX);
    let each = read.value(var::MAX_CONNECTIONS_PER_CLIENT, text, number);
    Some(Limits {
        allowed: allowed?,
        connections: total?,
        connections_per_client: NonZeroU32::new(each?),
    })
}

/// How many connections there may be at a time.
#[expect(clippy::option_option, reason = "bad and no limit are two different things")]
pub(in crate::config) fn connections(
    raw: &var::Raw,
    read: &mut Reader,
) -> Option<Option<NonZeroUsize>> {
    let text = raw.max_connections.as_deref();
    let most = read.optional(var::MAX_CONNECTIONS, text, value::number(1..=CONNECTIONS_MAX))?;
    Some(most.and_then(|most| NonZeroUsize::new(usize::try_from(most).ok()?)))
}

/// Where connections to targets come from.
pub(in crate::config) fn sources(raw: &var::Raw, read: &mut Reader) -> Option<Sources> {
    let text = raw.source_addresses.as_deref();
    let sources = read.optional(var::SOURCE_ADDRESSES, text, addresses)?;
    Some(Sources::new(&sources.unwrap_or_default()))
}

fn allowed(text: &str) -> Parsed<Option<Cidrs>> {
    if text == "all" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|reason: String| format!("{reason}; or all"))
}

fn addresses(text: &str) -> Parsed<Vec<IpAddr>> {
    let accepted = "accepted: IPv4 and IPv6 addresses of this machine, comma separated, each once, \
                    such as 10.0.0.10,10.0.0.11";
    let mut addresses = Vec::new();
    each(text, accepted, |entry| {
        let address = source(entry)?;
        if addresses.contains(&address) {
            return Err("is there already".to_owned());
        }
        addresses.push(address);
        Ok(())
    })?;
    if addresses.len() > Sources::COUNT_MAX {
        let (count, most) = (addresses.len(), Sources::COUNT_MAX);
        return Err(format!("has {count} addresses; accepted: at most {most}"));
    }
    Ok(addresses)
}

fn source(text: &str) -> Parsed<IpAddr> {
    let address = text.parse::<IpAddr>().map_err(|_| "is no IP address")?.to_canonical();
    let is_broadcast = matches!(address, IpAddr::V4(four) if four.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || is_broadcast {
        return Err("is not the address of one machine".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_no_list_and_a_list_may_not_hold_it() {
        assert_eq!(allowed("all"), Ok(None));
        assert!(allowed("::1,10.0.0.0/8").unwrap().is_some());
        let error = allowed("all,10.0.0.0/8").unwrap_err();
        assert!(error.starts_with("has `all`, which is no IP address"), "{error}");
        assert!(error.ends_with("; or all"), "{error}");
    }

    #[test]
    fn source_addresses_are_those_of_one_machine_each_once() {
        let read = addresses("10.0.0.1, 2001:db8::1,::ffff:10.0.0.2").unwrap();
        let expected: [IpAddr; 3] =
            ["10.0.0.1", "2001:db8::1", "10.0.0.2"].map(|it| it.parse().unwrap());
        assert_eq!(read, expected);
        for (text, told) in [
            ("", "is no IP address"),
            ("10.0.0.1,", "has a comma too many"),
            ("10.0.0.0/24", "is no IP address"),
            ("10.0.0.1,eth0", "has `eth0`, which is no IP address"),
            ("0.0.0.0", "is not the address of one machine"),
            ("::1,::", "has `::`, which is not the address of one machine"),
            ("224.0.0.1", "is not the address of one machine"),
            ("255.255.255.255", "is not the address of one machine"),
            ("a,::1,b", "has `a`, which is no IP address; has `b`, which is no IP address; acc"),
            ("10.0.0.1,::ffff:10.0.0.1", "has `::ffff:10.0.0.1`, which is there already"),
        ] {
            let error = addresses(text).unwrap_err();
            assert!(error.contains(told) && error.contains("; accepted: "), "{text}: {error}");
        }
        let many: Vec<_> = (0..65).map(|n| format!("10.0.0.{n}")).collect();
        let error = addresses(&many.join(",")).unwrap_err();
        assert_eq!(error, "has 65 addresses; accepted: at most 64");
    }
}
