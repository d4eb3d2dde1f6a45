//! The body of a request to EC2 or Auto Scaling: `Action=…&…`.

/// The value of `name`, as it is encoded.
pub(super) fn value<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The form with `name` set to `value`.
pub(super) fn with(form: &str, name: &str, value: &str) -> String {
    let prefix = format!("{name}=");
    let mut pairs: Vec<_> = form.split('&').filter(|pair| !pair.starts_with(&prefix)).collect();
    let pair = format!("{prefix}{value}");
    pairs.push(&pair);
    pairs.join("&")
}
