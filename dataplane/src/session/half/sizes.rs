/// After so many small receives in a row a side counts as interactive: until then it may as well be
/// the beginning of something large.
const INTERACTIVE_AFTER: u8 = 3;

/// After so many receives in a row that filled their buffers, 128 KiB, a side is spliced from: that
/// moves pages instead of bytes, but costs more for each move.
const SPLICE_AFTER: u8 = 8;

/// How much came at a time lately.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::session) struct Sizes {
    /// How often in a row, up to `INTERACTIVE_AFTER`, it was little and was passed on at once.
    small_in_a_row: u8,
    /// How often in a row, up to `SPLICE_AFTER`, it filled a buffer.
    full_in_a_row: u8,
}

impl Sizes {
    /// `full`: a receive filled its buffer; `behind`: what came before it is not sent yet.
    pub(in crate::session) fn note(&mut self, full: bool, behind: bool) {
        if full {
            self.note_bulk();
            self.full_in_a_row = (self.full_in_a_row + 1).min(SPLICE_AFTER);
            return;
        }
        self.full_in_a_row = 0;
        if !behind {
            self.small_in_a_row = (self.small_in_a_row + 1).min(INTERACTIVE_AFTER);
        }
    }

    /// It is not interactive after all.
    pub(super) fn note_bulk(&mut self) {
        self.small_in_a_row = 0;
    }

    /// Receives into buffers again, until it fills as many of them as before.
    pub(in crate::session) fn leave_splice(&mut self) {
        self.full_in_a_row = 0;
    }

    pub(super) fn is_worth_splicing(self) -> bool {
        self.full_in_a_row == SPLICE_AFTER
    }

    pub(super) fn is_interactive(self) -> bool {
        self.small_in_a_row == INTERACTIVE_AFTER
    }
}
