use std::net::IpAddr;

use dataplane::{Cidrs, Sources};

use super::Parsed;
use super::list::each;

/// Who may connect; `None` is everybody.
pub(crate) fn allowed(text: &str) -> Parsed<Option<Cidrs>> {
    if text == "all" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|reason: String| format!("{reason}; or all"))
}

/// Addresses of this machine to connect from.
pub(crate) fn sources(text: &str) -> Parsed<Vec<IpAddr>> {
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
        let read = sources("10.0.0.1, 2001:db8::1,::ffff:10.0.0.2").unwrap();
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
            let error = sources(text).unwrap_err();
            assert!(error.contains(told) && error.contains("; accepted: "), "{text}: {error}");
        }
        let many: Vec<_> = (0..65).map(|n| format!("10.0.0.{n}")).collect();
        let error = sources(&many.join(",")).unwrap_err();
        assert_eq!(error, "has 65 addresses; accepted: at most 64");
    }
}
