use std::fmt;

/// A line about a variable that can be used as it is.
#[derive(Clone, Debug)]
pub(crate) struct Remark {
    /// The variable, as it is set.
    pub(crate) name: &'static str,
    /// Whether somebody should look at it.
    pub(crate) is_warning: bool,
    text: String,
}

impl Remark {
    /// Something that somebody should look at.
    pub(super) fn warning(name: &'static str, text: String) -> Self {
        Self { name, is_warning: true, text }
    }

    /// Something that is worth a line and no more.
    pub(super) fn note(name: &'static str, text: String) -> Self {
        Self { name, is_warning: false, text }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
