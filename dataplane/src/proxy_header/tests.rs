use super::checksum::crc32c;
use super::*;

/// The example of section 2.1.
const LINE: &[u8] = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1\r\n";

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses::new(source.parse().unwrap(), destination.parse().unwrap())
}

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied(addresses(source, destination), Tlvs::default())
}

fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x0D\x0A\x0D\x0A\x00\x0D\x0A\x51\x55\x49\x54\x0A".to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend(rest);
    bytes
}

fn parse_all(bytes: &[u8]) -> Result<Header, Fault> {
    let (header, length) = Header::parse(bytes)?.expect("it is whole");
    assert_eq!(length, bytes.len());
    Ok(header)
}

#[test]
fn the_example_of_the_specification_is_understood_and_written() {
    let header = proxied("192.168.0.1:56324", "192.168.0.11:443");
    assert_eq!(Header::parse(LINE), Ok(Some((header.clone(), 47))));
    assert_eq!(header.encode(ProxyVersion::V1), LINE[..47]);
    let bytes = binary(0x21, 0x11, &[192, 168, 0, 1, 192, 168, 0, 11, 0xDC, 4, 1, 0xBB]);
    assert_eq!(header.encode(ProxyVersion::V2), bytes);
    assert_eq!(parse_all(&bytes), Ok(header));
}

#[test]
fn the_longest_lines_of_the_specification_are_understood() {
    let four = "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
    let most = "255.255.255.255:65535";
    assert_eq!((four.len(), parse_all(four.as_bytes())), (56, Ok(proxied(most, most))));
    let ip = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let six = format!("PROXY TCP6 {ip} {ip} 65535 65535\r\n");
    let most = format!("[{ip}]:65535");
    assert_eq!((six.len(), parse_all(six.as_bytes())), (104, Ok(proxied(&most, &most))));
    let unknown = format!("PROXY UNKNOWN {ip} {ip} 65535 65535\r\n");
    assert_eq!((unknown.len(), parse_all(unknown.as_bytes())), (107, Ok(Header::Unknown)));
    assert_eq!(parse_all(b"PROXY UNKNOWN\r\n"), Ok(Header::Unknown));
    let longer = format!("PROXY UNKNOWN {ip} {ip} 65535 655350\r\n");
    assert_eq!(Header::parse(longer.as_bytes()), Err(Fault::Oversized));
    assert_eq!(Header::parse(&longer.as_bytes()[..107]), Err(Fault::Oversized));
    assert_eq!(Header::parse(&unknown.as_bytes()[..106]), Ok(None));
}

#[test]
fn a_line_is_exactly_as_specified() {
    for line in [
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r ",
        "PROXY TCP4 1.2.3.4\r",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
        "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
        "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        "PROXY TCP6 ::1 :::2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
        "PROXY TCP5 1.2.3.4",
        "PROXY  TCP4",
        "PROXY tcp4",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN \n\r\n",
    ] {
        // A CR at the end may become a line's end.
        let expected = if line.ends_with('\r') { Ok(None) } else { Err(Fault::Malformed) };
        assert_eq!(Header::parse(line.as_bytes()), expected, "{line:?}");
    }
    let zero = parse_all(b"PROXY TCP6 2001:DB8::A ::1 0 80\r\n");
    assert_eq!(zero, Ok(proxied("[2001:db8::a]:0", "[::1]:80")));
}

#[test]
fn what_is_neither_version_is_told_at_once() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"PROXYTCP4", b"PO", b"\r\n\r\n\r", b"\x16\x03\x01"] {
        assert_eq!(Header::parse(bytes), Err(Fault::Missing), "{bytes:?}");
    }
    for bytes in [&b""[..], b"P", b"PROXY", b"PROXY TC", b"\r\n\r\n\0\r\nQUIT\n", b"PROXY UNKN"] {
        assert_eq!(Header::parse(bytes), Ok(None), "{bytes:?}");
    }
}

#[test]
fn mapped_addresses_are_ipv4_wherever_both_are() {
    let mapped = parse_all(b"PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:192.0.2.2 1 2\r\n");
    assert_eq!(mapped, Ok(proxied("192.0.2.1:1", "192.0.2.2:2")));
    let mixed = addresses("[::ffff:192.0.2.1]:1", "[2001:db8::1]:2");
    assert_eq!(mixed, addresses("192.0.2.1:1", "[2001:db8::1]:2"));
    assert!(mixed.source().is_ipv6() && mixed.destination().is_ipv6());
    let mixed = Header::Proxied(mixed, Tlvs::default());
    let line = b"PROXY TCP6 ::ffff:c000:201 2001:db8::1 1 2\r\n";
    assert_eq!(mixed.encode(ProxyVersion::V1), line);
    assert_eq!(parse_all(line), Ok(mixed.clone()));
    assert_eq!(parse_all(&mixed.encode(ProxyVersion::V2)), Ok(mixed));
}

#[test]
fn binary_addresses_of_both_families_are_in_network_order() {
    let mut block = [0; 36];
    block[..2].copy_from_slice(&[0x20, 1]);
    (block[15], block[31]) = (7, 9);
    block[32..].copy_from_slice(&[0x12, 0x34, 0, 80]);
    let header = proxied("[2001::7]:4660", "[::9]:80");
    assert_eq!(parse_all(&binary(0x21, 0x21, &block)), Ok(header.clone()));
    assert_eq!(header.encode(ProxyVersion::V2), binary(0x21, 0x21, &block));
}

#[test]
fn local_and_unspecified_headers_are_skipped_whole() {
    for rest in [&b""[..], b"anything", &[0xFF; 300]] {
        for family in [0x00, 0x11, 0x21, 0xFF] {
            assert_eq!(parse_all(&binary(0x20, family, rest)), Ok(Header::Local));
        }
        assert_eq!(parse_all(&binary(0x21, 0x00, rest)), Ok(Header::Unknown));
    }
    for (family, length) in [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216), (0x10, 12)] {
        assert_eq!(parse_all(&binary(0x21, family, &vec![1; length])), Ok(Header::Unknown));
        let short = binary(0x21, family, &vec![1; length - 1]);
        assert_eq!(Header::parse(&short), Err(Fault::Malformed));
    }
    assert_eq!(Header::Local.encode(ProxyVersion::V2), binary(0x20, 0x00, b""));
    assert_eq!(Header::Unknown.encode(ProxyVersion::V2), binary(0x21, 0x00, b""));
    for header in [Header::Local, Header::Unknown] {
        assert_eq!(header.encode(ProxyVersion::V1), b"PROXY UNKNOWN\r\n");
    }
}

#[test]
fn binary_headers_with_values_of_no_meaning_are_malformed() {
    for (command, family) in [(0x22, 0x11), (0x11, 0x11), (0x31, 0x11), (0x21, 0x41), (0x21, 0x13)]
    {
        let bytes = binary(command, family, &[0; 300]);
        assert_eq!(Header::parse(&bytes), Err(Fault::Malformed));
        assert_eq!(Header::parse(&bytes[..14]), Err(Fault::Malformed), "as soon as it can be told");
    }
    let short = binary(0x21, 0x11, &[0; 11]);
    assert_eq!(Header::parse(&short[..16]), Err(Fault::Malformed));
}

#[test]
fn a_header_is_bounded() {
    let value = vec![7; HEADER_MAX_BYTES - 16 - 12 - 3];
    let [high, low] = u16::try_from(value.len()).unwrap().to_be_bytes();
    let block = [&[0; 12][..], &[0xE0, high, low], &value].concat();
    let largest = binary(0x21, 0x11, &block);
    assert_eq!(largest.len(), HEADER_MAX_BYTES);
    let header = parse_all(&largest).unwrap();
    assert_eq!(header.encode(ProxyVersion::V2), largest);
    let larger = binary(0x21, 0x11, &[&block[..], &[0]].concat());
    assert_eq!(Header::parse(&larger[..16]), Err(Fault::Oversized));
    assert_eq!(Header::parse(&larger[..15]), Ok(None));
}

/// A header over 192.0.2.1:1 → 192.0.2.2:2 with these fields.
fn with_fields(fields: &[u8]) -> Vec<u8> {
    let ends = [192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2];
    binary(0x21, 0x11, &[&ends, fields].concat())
}

#[test]
fn fields_pass_through_untouched() {
    // PP2_TYPE_AWS with the id of a VPC endpoint, after "Proxy protocol" in the guide of AWS'
    // Network Load Balancers; an empty NOOP before it.
    let fields = b"\x04\0\0\xEA\0\x17\x01vpce-08d2bf15fac5001c9";
    let bytes = with_fields(fields);
    let header = parse_all(&bytes).unwrap();
    assert_eq!(header.encode(ProxyVersion::V2), bytes);
    let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    assert_eq!(header.encode(ProxyVersion::V1), line);
}

#[test]
fn fields_fill_the_header_exactly() {
    for fields in [&b"\x04"[..], b"\x04\0", b"\x04\0\x01", b"\x04\0\0\xE0", b"\xE0\xFF\xFFabc"] {
        assert_eq!(Header::parse(&with_fields(fields)), Err(Fault::Malformed), "{fields:?}");
    }
}

#[test]
fn a_checksum_is_verified_and_made_anew() {
    let mut bytes = with_fields(b"\xE0\0\x01x\x03\0\x04\0\0\0\0\xE1\0\0");
    assert_eq!(Header::parse(&bytes), Err(Fault::Malformed), "it is wrong");
    let value = crc32c([&bytes[..]]).to_be_bytes();
    bytes[35..39].copy_from_slice(&value);
    let header = parse_all(&bytes).unwrap();
    assert_eq!(header.encode(ProxyVersion::V2), bytes);
    // Byte 32 is the field's type: with another one there is no checksum.
    for index in (16..bytes.len()).filter(|&index| index != 32) {
        let mut changed = bytes.clone();
        changed[index] ^= 0x10;
        assert_eq!(Header::parse(&changed), Err(Fault::Malformed), "byte {index}");
    }
    for fields in [&b"\x03\0\x03abc"[..], b"\x03\0\x04\0\0\0\0\x03\0\x04\0\0\0\0"] {
        assert_eq!(Header::parse(&with_fields(fields)), Err(Fault::Malformed), "{fields:?}");
    }
}
