use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// Blocks of IP addresses in CIDR notation: RFC 4632 for IPv4, RFC 4291 section 2.3 for IPv6.
///
/// Parsed from a comma separated list. White space around a block is ignored, and an address alone
/// is a block of its own. Cheap to clone. An IPv4-mapped IPv6 block is the IPv4 block it maps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cidrs(Arc<[Cidr]>);

/// The first address of a block, and how many of its leading bits all addresses of it share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    network: IpAddr,
    prefix: u32,
}

/// They are compared one by one for every client.
const BLOCKS_MAX: usize = 1000;

/// So many bad entries are told one by one.
const BAD_TOLD_MAX: usize = 20;

/// Leading bits of every IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX: u32 = 96;

const ACCEPTED: &str =
    "accepted: IP addresses and CIDR blocks, comma separated, such as 10.0.0.0/8,2001:db8::/32";

impl Cidrs {
    /// Whether `address` is in one of the blocks. An IPv4-mapped IPv6 address is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|cidr| cidr.contains(address))
    }
}

impl FromStr for Cidrs {
    type Err = String;

    /// # Errors
    /// A phrase that quotes each bad block and says what is wrong with it, and what is accepted.
    fn from_str(list: &str) -> Result<Self, String> {
        let (mut blocks, mut bad) = (Vec::new(), Vec::new());
        for block in list.split(',').map(str::trim) {
            match Cidr::parse(block) {
                Ok(cidr) => blocks.push(cidr),
                // The message begins with the list.
                Err(reason) if block == list.trim() => bad.push(reason),
                Err(_) if block.is_empty() => bad.push("has a comma too many".to_owned()),
                Err(reason) => bad.push(format!("has `{block}`, which {reason}")),
            }
        }
        if !bad.is_empty() {
            let more = bad.len().saturating_sub(BAD_TOLD_MAX);
            bad.truncate(BAD_TOLD_MAX);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            return Err(format!("{}{more}; {ACCEPTED}", bad.join("; ")));
        }
        if blocks.len() > BLOCKS_MAX {
            let count = blocks.len();
            return Err(format!("has {count} blocks; accepted: at most {BLOCKS_MAX}"));
        }
        Ok(Self(blocks.into()))
    }
}

impl Cidr {
    fn parse(text: &str) -> Result<Self, String> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let given: Option<IpAddr> = address.parse().ok();
        let given = given.ok_or("is no IP address or CIDR block")?;
        let most = bits_of(given);
        let prefix = prefix.map_or(Some(most), |prefix| parse_prefix(prefix, most));
        let prefix = prefix.ok_or_else(|| {
            format!("has a prefix length that is no whole number from 0 to {most}")
        })?;
        let (network, prefix) = match given.to_canonical() {
            mapped @ IpAddr::V4(_) if given.is_ipv6() && prefix >= MAPPED_PREFIX => {
                (mapped, prefix - MAPPED_PREFIX)
            }
            _ => (given, prefix),
        };
        let first = first_of(network, prefix);
        if first != network {
            return Err(format!(
                "is an address within the block {first}/{prefix} (write that block, or the \
                 address without a prefix length)"
            ));
        }
        Ok(Self { network, prefix })
    }

    fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4()
            && first_of(address, self.prefix) == self.network
    }
}

/// Decimal digits only: `u32::from_str` alone would let a plus sign and leading zeros pass.
fn parse_prefix(text: &str, most: u32) -> Option<u32> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|prefix| is_plain && *prefix <= most)
}

fn bits_of(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with all but its leading `prefix` bits cleared.
pub(crate) fn first_of(address: IpAddr, prefix: u32) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, address: &str) -> bool {
        list.parse::<Cidrs>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_its_first_and_last_address_and_no_other() {
        for (list, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("10.1.2.4/30", ["10.1.2.4", "10.1.2.7"], ["10.1.2.3", "10.1.2.8"]),
            ("10.1.2.3", ["10.1.2.3", "::ffff:10.1.2.3"], ["10.1.2.2", "10.1.2.4"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "2001:db8::1"]),
            ("::/0", ["::1", "ffff::"], ["10.0.0.1", "::ffff:10.0.0.1"]),
            ("2001:db8::/32", ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7::", "2001:db9::"]),
            ("::1", ["::1", "0:0::1"], ["::2", "0.0.0.1"]),
            ("::ffff:10.0.0.0/104", ["10.0.0.1", "::ffff:10.9.9.9"], ["11.0.0.0", "::"]),
            ("::ffff:0:0/96", ["1.2.3.4", "::ffff:9.9.9.9"], ["::", "2001:db8::"]),
            (" 10.0.0.0/8 , ::1/128 ", ["10.1.1.1", "::1"], ["11.0.0.0", "::2"]),
        ] {
            for address in inside {
                assert!(holds(list, address), "{address} in {list}");
            }
            for address in outside {
                assert!(!holds(list, address), "{address} in {list}");
            }
        }
    }

    #[test]
    fn what_is_no_list_of_blocks_is_told_with_what_is_accepted() {
        for (list, told) in [
            ("", "is no IP address or CIDR block; accepted: IP addresses and CIDR blocks"),
            ("10.0.0.0/8,", "has a comma too many; accepted: "),
            ("10.0.0.0/8,,::1", "has a comma too many"),
            ("10.0.0/8", "is no IP address or CIDR block"),
            ("::1, office ", "has `office`, which is no IP address or CIDR block"),
            ("10.0.0.0/33", "has a prefix length that is no whole number from 0 to 32"),
            ("::1,10.0.0.0/33", "has `10.0.0.0/33`, which has a prefix length that is no"),
            ("::/129", "from 0 to 128"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/08", "from 0 to 32"),
            ("10.0.0.0/8/8", "from 0 to 32"),
            ("10.0.0.0/-1", "from 0 to 32"),
            ("10.0.0.0/255.0.0.0", "from 0 to 32"),
            ("10.0.0.1/8", "is an address within the block 10.0.0.0/8"),
            ("::1,10.0.0.1/8", "has `10.0.0.1/8`, which is an address within"),
            ("2001:db8::1/64", "within the block 2001:db8::/64"),
            ("::ffff:10.0.0.1/104", "within the block 10.0.0.0/8"),
            (
                "10.0.0.0/33,::1,foo",
                "has `10.0.0.0/33`, which has a prefix length that is no whole number from 0 to \
                 32; has `foo`, which is no IP address or CIDR block; accepted: ",
            ),
            ("10.0.0.0 /8", "is no IP address or CIDR block"),
        ] {
            let error = list.parse::<Cidrs>().unwrap_err();
            assert!(error.contains(told), "{list}: {error}");
            assert!(error.contains("accepted: "), "{list}: {error}");
        }
        let error = ["x"; BAD_TOLD_MAX + 2].join(",").parse::<Cidrs>().unwrap_err();
        assert!(error.contains("; and 2 more; accepted: "), "{error}");
        let many = ["10.0.0.0/8"; BLOCKS_MAX + 1].join(",");
        let error = many.parse::<Cidrs>().unwrap_err();
        assert_eq!(error, "has 1001 blocks; accepted: at most 1000");
        assert!(["10.0.0.0/8"; BLOCKS_MAX].join(",").parse::<Cidrs>().is_ok());
    }
}
