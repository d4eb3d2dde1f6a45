use super::fault::Fault;

/// Type of the field that holds a checksum of the whole header, `PP2_TYPE_CRC32C`.
const CHECKSUM: u8 = 0x03;
/// Type and length before each value.
const FIELD_HEAD_BYTES: usize = 3;
pub(super) const CHECKSUM_BYTES: usize = 4;

/// The type-length-value fields of a version 2 header, in the form they have on the wire. Whole, as
/// they came: only the checksum means anything here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tlvs {
    bytes: Box<[u8]>,
    /// Where the value of the checksum begins.
    checksum: Option<usize>,
}

impl Tlvs {
    /// Takes what follows the addresses. A checksum is not verified, and becomes zero: the header
    /// it belongs to may be another one when it is sent.
    ///
    /// # Errors
    /// [`Fault::Malformed`] where the fields do not fill `bytes`, or there are two checksums.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut checksum = None;
        let mut at = 0;
        while at < bytes.len() {
            let head = bytes.get(at..at + FIELD_HEAD_BYTES).ok_or(Fault::Malformed)?;
            let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
            let value = at + FIELD_HEAD_BYTES;
            if head[0] == CHECKSUM && (length != CHECKSUM_BYTES || checksum.is_some()) {
                return Err(Fault::Malformed);
            }
            if head[0] == CHECKSUM {
                checksum = Some(value);
            }
            at = value + length;
        }
        if at != bytes.len() {
            return Err(Fault::Malformed);
        }
        let mut tlvs = Self { bytes: bytes.into(), checksum };
        if let Some(value) = tlvs.checksum_value() {
            value.fill(0);
        }
        Ok(tlvs)
    }

    /// As on the wire, a checksum being zero.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the checksum's value is within [`Tlvs::bytes`].
    pub(super) fn checksum(&self) -> Option<std::ops::Range<usize>> {
        self.checksum.map(|start| start..start + CHECKSUM_BYTES)
    }

    fn checksum_value(&mut self) -> Option<&mut [u8]> {
        let range = self.checksum()?;
        self.bytes.get_mut(range)
    }
}
