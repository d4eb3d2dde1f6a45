//! Version 2: binary (section 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::addresses::Addresses;
use super::checksum::crc32c;
use super::fault::Fault;
use super::header::{HEADER_MAX_BYTES, Header};
use super::tlvs::Tlvs;

pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of the rest.
const FIXED_BYTES: usize = 16;

const VERSION: u8 = 0x2;
const LOCAL: u8 = 0x0;
const PROXY: u8 = 0x1;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    let command = match bytes.get(12).map(|byte| (byte >> 4, byte & 0xF)) {
        None => return Ok(None),
        Some((VERSION, command @ (LOCAL | PROXY))) => command,
        Some(_) => return Err(Fault::Malformed),
    };
    let Some(&family) = bytes.get(13) else { return Ok(None) };
    // A LOCAL header's family is to be ignored, whatever it is.
    let addresses_bytes = addresses_bytes(family).filter(|_| command == PROXY);
    if command == PROXY && addresses_bytes.is_none() {
        return Err(Fault::Malformed);
    }
    let Some(length) = bytes.get(14..FIXED_BYTES) else { return Ok(None) };
    let end = FIXED_BYTES + usize::from(u16::from_be_bytes([length[0], length[1]]));
    if end > HEADER_MAX_BYTES {
        return Err(Fault::Oversized);
    }
    if end - FIXED_BYTES < addresses_bytes.unwrap_or(0) {
        return Err(Fault::Malformed);
    }
    let Some(whole) = bytes.get(..end) else { return Ok(None) };
    let header = match (command, family) {
        (LOCAL, _) => Header::Local,
        (_, TCP_OVER_IPV4 | TCP_OVER_IPV6) => parse_proxied(whole, addresses_bytes.unwrap_or(0))?,
        // What cannot be made use of is skipped as a whole, fields and all.
        _ => Header::Unknown,
    };
    Ok(Some((header, end)))
}

/// How much room the addresses of a family and transport take; `None` for those that must be
/// refused.
fn addresses_bytes(family: u8) -> Option<usize> {
    let bytes = match family >> 4 {
        0x0 => 0,
        0x1 => 2 * (4 + 2),
        0x2 => 2 * (16 + 2),
        // UNIX domain sockets: two paths.
        0x3 => 2 * 108,
        _ => return None,
    };
    // Unspecified, stream or datagram.
    (family & 0xF <= 2).then_some(bytes)
}

fn parse_proxied(whole: &[u8], addresses_bytes: usize) -> Result<Header, Fault> {
    let (addresses, fields) = whole[FIXED_BYTES..].split_at(addresses_bytes);
    let tlvs = Tlvs::parse(fields)?;
    if let Some(checksum) = tlvs.checksum() {
        let (before, _) = whole.split_at(whole.len() - fields.len());
        if crc32c([before, tlvs.bytes()]).to_be_bytes() != fields[checksum] {
            return Err(Fault::Malformed);
        }
    }
    Ok(Header::Proxied(parse_addresses(addresses).ok_or(Fault::Malformed)?, tlvs))
}

/// Two addresses, then two ports.
fn parse_addresses(bytes: &[u8]) -> Option<Addresses> {
    let (ips, ports) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let (from, to) = ips.split_at(ips.len() / 2);
    let port = |bytes: &[u8]| bytes.try_into().ok().map(u16::from_be_bytes);
    Some(Addresses::new(
        SocketAddr::new(parse_ip(from)?, port(&ports[..2])?),
        SocketAddr::new(parse_ip(to)?, port(&ports[2..])?),
    ))
}

fn parse_ip(bytes: &[u8]) -> Option<IpAddr> {
    let ipv4 = || <[u8; 4]>::try_from(bytes).ok().map(|octets| Ipv4Addr::from(octets).into());
    let ipv6 = || <[u8; 16]>::try_from(bytes).ok().map(|octets| Ipv6Addr::from(octets).into());
    ipv4().or_else(ipv6)
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let none = Tlvs::default();
    let (command, family, addresses, tlvs) = match header {
        Header::Local => (LOCAL, UNSPECIFIED, Vec::new(), &none),
        Header::Unknown => (PROXY, UNSPECIFIED, Vec::new(), &none),
        Header::Proxied(addresses, tlvs) => {
            let is_ipv4 = addresses.source().is_ipv4();
            let family = if is_ipv4 { TCP_OVER_IPV4 } else { TCP_OVER_IPV6 };
            (PROXY, family, encode_addresses(addresses), tlvs)
        }
    };
    let length = u16::try_from(addresses.len() + tlvs.bytes().len());
    let length = length.expect("fields come from a header of bounded length");
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([VERSION << 4 | command, family]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(addresses);
    let fields = bytes.len();
    bytes.extend(tlvs.bytes());
    if let Some(checksum) = tlvs.checksum() {
        let value = crc32c([&bytes[..]]).to_be_bytes();
        bytes[fields + checksum.start..fields + checksum.end].copy_from_slice(&value);
    }
    bytes
}

fn encode_addresses(addresses: &Addresses) -> Vec<u8> {
    let ends = [addresses.source(), addresses.destination()];
    let ips = ends.iter().flat_map(|end| match end.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    });
    ips.chain(ends.iter().flat_map(|end| end.port().to_be_bytes())).collect()
}
