//! Version 1: one line of text (section 2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::addresses::Addresses;
use super::fault::Fault;
use super::header::{Header, begins_alike};
use super::tlvs::Tlvs;

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// Longest line, CR and LF among it.
const LINE_MAX_BYTES: usize = 107;

/// How a line can begin.
const BEGINNINGS: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];

pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Fault> {
    if !BEGINNINGS.iter().any(|beginning| begins_alike(bytes, beginning)) {
        return Err(Fault::Malformed);
    }
    let bytes = &bytes[..bytes.len().min(LINE_MAX_BYTES)];
    let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < LINE_MAX_BYTES { Ok(None) } else { Err(Fault::Oversized) };
    };
    // Neither CR nor LF alone ends a line or is part of one.
    match &bytes[end..] {
        [b'\r'] if end + 1 == LINE_MAX_BYTES => Err(Fault::Oversized),
        [b'\r'] => Ok(None),
        [b'\r', b'\n', ..] => Ok(Some((parse_line(&bytes[..end])?, end + 2))),
        _ => Err(Fault::Malformed),
    }
}

fn parse_line(line: &[u8]) -> Result<Header, Fault> {
    let rest = &line[SIGNATURE.len()..];
    if rest == b"UNKNOWN" || rest.starts_with(b"UNKNOWN ") {
        return Ok(Header::Unknown);
    }
    let words = str::from_utf8(rest).ok().map(|rest| rest.split(' ').collect::<Vec<_>>());
    let addresses = words.and_then(|words| match words[..] {
        ["TCP4", from, to, from_port, to_port] => {
            addresses::<Ipv4Addr>([from, to], [from_port, to_port])
        }
        // With an IPv4 address at its end, too: senders write mapped ones like that.
        ["TCP6", from, to, from_port, to_port] => {
            addresses::<Ipv6Addr>([from, to], [from_port, to_port])
        }
        _ => None,
    });
    let addresses = addresses.ok_or(Fault::Malformed)?;
    Ok(Header::Proxied(addresses, Tlvs::default()))
}

fn addresses<T: FromStr + Into<IpAddr>>(ips: [&str; 2], ports: [&str; 2]) -> Option<Addresses> {
    let [from, to] = ips.map(|text| text.parse::<T>().ok().map(Into::into));
    let [from_port, to_port] = ports.map(port);
    Some(Addresses::new(SocketAddr::new(from?, from_port?), SocketAddr::new(to?, to_port?)))
}

/// Digits without a sign and, since they might be taken for octal, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let canonical =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

pub(super) fn encode(header: &Header) -> Vec<u8> {
    let Header::Proxied(addresses, _) = header else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let (from, to) = (addresses.source(), addresses.destination());
    let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
    let ips = format!("{} {}", Plain(from.ip()), Plain(to.ip()));
    format!("PROXY {family} {ips} {} {}\r\n", from.port(), to.port()).into_bytes()
}

/// An address without the dots that IPv4-mapped ones are usually shown with, which the
/// specification does not mention.
struct Plain(IpAddr);

impl std::fmt::Display for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
                let [.., high, low] = ip.segments();
                write!(f, "::ffff:{high:x}:{low:x}")
            }
            ip => ip.fmt(f),
        }
    }
}
