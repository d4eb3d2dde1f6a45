use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Longest list: every new connection is compared with all of it.
const CIDRS_MAX: usize = 1000;

/// Address blocks in CIDR notation (RFC 4632, RFC 4291 2.3). Cheap to clone. An IPv4-mapped IPv6
/// address is the IPv4 address that it stands for, in the list and when it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidrs(Arc<[Cidr]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cidr {
    V4 { network: u32, mask: u32 },
    V6 { network: u128, mask: u128 },
}

impl Cidrs {
    /// Whether `address` is in one of the blocks.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|cidr| cidr.contains(address))
    }
}

impl FromStr for Cidrs {
    type Err = String;

    /// Blocks, comma separated; an address alone is a block of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let cidrs: Vec<Cidr> = text.split(',').map(parse).collect::<Result<_, _>>()?;
        if cidrs.len() > CIDRS_MAX {
            return Err(format!("has {} blocks; accepted: at most {CIDRS_MAX}", cidrs.len()));
        }
        Ok(Self(cidrs.into()))
    }
}

impl Cidr {
    fn contains(self, address: IpAddr) -> bool {
        match (self, address) {
            (Self::V4 { network, mask }, IpAddr::V4(address)) => {
                u32::from(address) & mask == network
            }
            (Self::V6 { network, mask }, IpAddr::V6(address)) => {
                u128::from(address) & mask == network
            }
            _ => false,
        }
    }
}

fn parse(text: &str) -> Result<Cidr, String> {
    const ACCEPTED: &str =
        "accepted: address blocks such as 10.0.0.0/8 or 2001:db8::/32, comma separated";
    let text = text.trim();
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| format!("has {text:?}; {ACCEPTED}"))?;
    let address_bits = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => Some(address_bits),
        Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok(),
        Some(_) => None,
    };
    let bits = bits.filter(|bits| *bits <= address_bits).ok_or_else(|| {
        format!("has {text:?}, where after the / is no number from 0 to {address_bits}; {ACCEPTED}")
    })?;
    let (cidr, first) = block(address, bits);
    if first != address {
        return Err(format!("has {text:?}, whose block begins at {first}; {ACCEPTED}"));
    }
    Ok(cidr)
}

/// The block of `bits` around `address`, and its first address.
fn block(address: IpAddr, bits: u32) -> (Cidr, IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            let network = u32::from(address) & mask;
            (Cidr::V4 { network, mask }, Ipv4Addr::from(network).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let first = Ipv6Addr::from(u128::from(address) & mask);
            match (first.to_ipv4_mapped(), bits.checked_sub(96)) {
                (Some(mapped), Some(bits)) => (block(mapped.into(), bits).0, first.into()),
                _ => (Cidr::V6 { network: first.into(), mask }, first.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contain(list: &str, address: &str) -> bool {
        list.parse::<Cidrs>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_a_block_or_not() {
        for (list, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.2"),
            ("10.1.2.2/31,192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("2001:db8::/33, ::1", "2001:db8:7fff::", "2001:db8:8000::"),
        ] {
            assert!(contain(list, inside), "{inside} in {list}");
            assert!(!contain(list, outside), "{outside} in {list}");
        }
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        assert!(contain("10.0.0.0/8", "::ffff:10.1.1.1"));
        assert!(contain("::ffff:10.0.0.0/104", "10.1.1.1"));
        assert!(!contain("::ffff:10.0.0.0/104", "11.1.1.1"));
        assert!(contain("::ffff:0:0/96", "11.1.1.1"));
    }

    #[test]
    fn what_is_no_list_of_blocks_is_refused_by_what_is_wrong() {
        for (list, reason) in [
            ("", "has \"\""),
            ("10.0.0.0/8,", "has \"\""),
            ("example.org", "has \"example.org\""),
            ("10.0.0.0/33", "no number from 0 to 32"),
            ("10.0.0.0/", "no number from 0 to 32"),
            ("10.0.0.0/+8", "no number from 0 to 32"),
            ("::/129", "no number from 0 to 128"),
            ("::/99999999999", "no number from 0 to 128"),
            ("10.0.0.1/8", "begins at 10.0.0.0"),
            ("2001:db8::1/32", "begins at 2001:db8::"),
        ] {
            let error = list.parse::<Cidrs>().unwrap_err();
            assert!(error.contains(reason) && error.contains("accepted:"), "{list}: {error}");
        }
        let long = vec!["10.0.0.1"; CIDRS_MAX + 1].join(",");
        assert!(long.parse::<Cidrs>().unwrap_err().contains("at most 1000"));
    }
}
