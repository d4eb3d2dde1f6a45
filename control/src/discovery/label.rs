/// Longest label value, in bytes.
const MAX_BYTES: usize = 255;

/// The value of a label: short, and without control characters, so that it can go into logs and
/// answers as it is. May be empty, which means absent, as in Prometheus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label(String);

impl Label {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value, unless it is empty.
    pub(crate) fn given(&self) -> Option<&str> {
        Some(self.as_str()).filter(|value| !value.is_empty())
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(value: String) -> Result<Self, String> {
        if value.len() > MAX_BYTES || value.contains(char::is_control) {
            return Err(format!(
                "`{}` is not a label value of at most {MAX_BYTES} bytes without control \
                 characters",
                crate::log_lines::escaped::Escaped(&value),
            ));
        }
        Ok(Self(value))
    }
}
