/// Longest name and longest label, in bytes (RFC 1035, 2.3.4; 253 is what 255 on the wire hold).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Whether a name is longer than any may be.
pub(crate) fn is_too_long(name: &str) -> bool {
    name.len() > NAME_BYTES_MAX
}

/// Whether `name` consists of labels with dots between them, and of each `is_label` says that it is one
/// beside being neither empty nor too long.
pub(crate) fn are_labels(name: &str, is_label: impl Fn(&str) -> bool) -> bool {
    let has_length = |label: &str| (1..=LABEL_BYTES_MAX).contains(&label.len());
    name.split('.').all(|label| has_length(label) && is_label(label))
}

/// Whether the last label is a number. No such domain can be (RFC 3696, 2): an address was meant.
pub(crate) fn ends_with_number(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}
