/// Some of the eligible targets, all of one zone, and what part of the new connections they get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locality {
    share: u32,
    entries: Vec<usize>,
}

impl Locality {
    /// What the shares of all localities of a snapshot add up to.
    pub const WHOLE: u32 = 1 << 16;

    /// One that gets `share` of the new connections, in units of 1 / [`Locality::WHOLE`] and not 0,
    /// for these of the snapshot's entries: not empty, all of them eligible.
    pub fn new(share: u32, entries: Vec<usize>) -> Self {
        Self { share, entries }
    }

    /// Their part of the new connections, in units of 1 / [`Locality::WHOLE`].
    pub fn share(&self) -> u32 {
        self.share
    }

    /// Which of the snapshot's entries they are.
    pub fn entries(&self) -> &[usize] {
        &self.entries
    }
}
