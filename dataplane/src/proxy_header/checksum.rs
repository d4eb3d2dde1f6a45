/// The checksum `CRC32c` (RFC 9260, appendix A; the PROXY protocol names RFC 4960, appendix B, which
/// that replaced) of several pieces after one another.
pub(super) fn crc32c<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    /// Castagnoli's polynomial, its bits reversed.
    const POLYNOMIAL: u32 = 0x82F6_3B78;
    // Bit by bit: headers are short and few have a checksum, a table would not pay.
    let step = |rest: u32| if rest & 1 == 1 { (rest >> 1) ^ POLYNOMIAL } else { rest >> 1 };
    let bytes = pieces.into_iter().flatten();
    !bytes.fold(u32::MAX, |rest, &byte| (0..8).fold(rest ^ u32::from(byte), |rest, _| step(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_published_vectors() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c([&[0; 32][..]]), 0x8A91_36AA);
        assert_eq!(crc32c([&[0xFF; 32][..]]), 0x62A8_AB43);
        assert_eq!(crc32c([&b"1234"[..], b"", b"56789"]), 0xE306_9283);
    }
}
