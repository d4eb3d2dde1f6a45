//! Random headers, damaged headers and garbage, from a seed: `PROXY_SEED=n cargo test -p dataplane
//! one_input` runs one again.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;
use super::*;
use testkit::seeds::seeds;

const INPUTS: u64 = 120_000;

#[test]
fn whatever_comes_is_parsed_alike_however_it_comes() {
    let mut results = [0; 5];
    let inputs = seeds(INPUTS);
    for seed in 0..inputs {
        results[check_input(seed)] += 1;
    }
    // Each kind of result must be common, or the inputs show less than they seem to.
    assert!(results.iter().all(|&count| count > inputs / 100), "results: {results:?}");
}

#[test]
fn one_input() {
    let seed = std::env::var("PROXY_SEED").ok().map_or(1, |seed| seed.parse().unwrap());
    check_input(seed);
}

/// Parses every beginning of one input; which kind of result it has.
fn check_input(seed: u64) -> usize {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let bytes = input(rng);
    let whole = Header::parse(&bytes);
    let mut first = None;
    for end in 0..=bytes.len() {
        let result = Header::parse(&bytes[..end]);
        if result == Ok(None) {
            assert_eq!(first, None, "seed {seed}: undecided again at {end}");
        } else {
            first.get_or_insert(end);
            assert_eq!(result, whole, "seed {seed}: at {end}");
        }
    }
    match whole {
        Ok(Some((header, length))) => {
            assert_eq!(first, Some(length), "seed {seed}: decided too early or too late");
            check_round_trip(&header, seed);
            0
        }
        Ok(None) => 1,
        Err(Fault::Missing) => 2,
        Err(Fault::Malformed) => 3,
        Err(Fault::Oversized) => 4,
    }
}

fn check_round_trip(header: &Header, seed: u64) {
    let bytes = header.encode(ProxyVersion::V2);
    assert_eq!(Header::parse(&bytes), Ok(Some((header.clone(), bytes.len()))), "seed {seed}");
    assert!(bytes.len() <= HEADER_MAX_BYTES);
    let line = header.encode(ProxyVersion::V1);
    let expected = match header {
        Header::Proxied(addresses, _) => Header::Proxied(*addresses, Tlvs::default()),
        Header::Local | Header::Unknown => Header::Unknown,
    };
    assert_eq!(Header::parse(&line), Ok(Some((expected, line.len()))), "seed {seed}");
}

fn input(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = match rng.u8(..8) {
        0 => garbage(rng),
        1 => text(rng),
        2 | 3 => random_binary(rng),
        4 => header(rng).encode(ProxyVersion::V1),
        _ => header(rng).encode(ProxyVersion::V2),
    };
    if rng.bool() {
        damage(&mut bytes, rng);
    }
    if rng.bool() {
        let payload = garbage(rng);
        bytes.extend(payload);
    }
    bytes
}

fn garbage(rng: &mut fastrand::Rng) -> Vec<u8> {
    let length = rng.usize(..60);
    (0..length).map(|_| rng.u8(..)).collect()
}

/// Words as they stand in a line, in any order.
fn text(rng: &mut fastrand::Rng) -> Vec<u8> {
    let words = [
        " ",
        " ",
        "TCP4",
        "TCP6",
        "UNKNOWN",
        "1.2.3.4",
        "::1",
        "::ffff:1.2.3.4",
        "80",
        "0",
        "65536",
        "\r\n",
        "\r",
    ];
    let mut line = String::from(if rng.bool() { "PROXY " } else { "PROXY UNKNOWN " });
    for _ in 0..rng.usize(..40) {
        line += words[rng.usize(..words.len())];
    }
    line.into_bytes()
}

/// A version 2 header of random content, its length mostly right.
fn random_binary(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = v2::SIGNATURE.to_vec();
    bytes.push([0x20, 0x21, 0x21, 0x21, 0x11, 0x2F][rng.usize(..6)]);
    bytes.push([0x00, 0x11, 0x11, 0x21, 0x12, 0x31, 0x42, 0x13][rng.usize(..8)]);
    let rest: Vec<u8> = (0..rng.usize(..260)).map(|_| rng.u8(..6)).collect();
    let length = u16::try_from(rest.len()).unwrap();
    let length = if rng.u8(..4) == 0 { rng.u16(..) } else { length };
    bytes.extend(length.to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn header(rng: &mut fastrand::Rng) -> Header {
    match rng.u8(..8) {
        0 => Header::Local,
        1 => Header::Unknown,
        _ => {
            let addresses = Addresses::new(address(rng), address(rng));
            Header::Proxied(addresses, fields(rng))
        }
    }
}

fn address(rng: &mut fastrand::Rng) -> SocketAddr {
    let ipv4 = Ipv4Addr::from(rng.u32(..));
    match rng.u8(..3) {
        0 => (ipv4, rng.u16(..)).into(),
        1 => (ipv4.to_ipv6_mapped(), rng.u16(..)).into(),
        // Few ones: with runs of zeros that are written as "::".
        _ => (Ipv6Addr::from(rng.u128(..) & rng.u128(..) & rng.u128(..)), rng.u16(..)).into(),
    }
}

fn fields(rng: &mut fastrand::Rng) -> Tlvs {
    let mut bytes = Vec::new();
    let checksum_at = rng.u8(..4);
    for index in 0..rng.u8(..4) {
        if index == checksum_at {
            bytes.extend([0x03, 0, 4, 0, 0, 0, 0]);
        } else {
            let value = garbage(rng);
            bytes.extend([0xE0 + index, 0, u8::try_from(value.len()).unwrap()]);
            bytes.extend(value);
        }
    }
    Tlvs::parse(&bytes).unwrap()
}

fn damage(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    for _ in 0..rng.u8(1..4) {
        if bytes.is_empty() {
            return;
        }
        let index = rng.usize(..bytes.len());
        match rng.u8(..4) {
            0 => bytes[index] = rng.u8(..),
            1 => bytes[index] ^= 1 << rng.u8(..8),
            2 => drop(bytes.remove(index)),
            _ => bytes.truncate(index),
        }
    }
}

#[test]
fn a_checksum_of_any_header_holds() {
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..1000 {
        let bytes = header(&mut rng).encode(ProxyVersion::V2);
        let Some(Header::Proxied(_, tlvs)) = Header::parse(&bytes).unwrap().map(|it| it.0) else {
            continue;
        };
        if let Some(checksum) = tlvs.checksum() {
            let fields = bytes.len() - tlvs.bytes().len();
            let mut zeroed = bytes.clone();
            zeroed[fields + checksum.start..fields + checksum.end].fill(0);
            let value = crc32c([&zeroed[..]]).to_be_bytes();
            assert_eq!(bytes[fields + checksum.start..fields + checksum.end], value);
        }
    }
}
