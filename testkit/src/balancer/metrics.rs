//! The text of `/metrics`.

/// The value of a series in the text of `/metrics`; `name` is without `load_balancer_`, but with
/// labels.
pub fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| {
        line.strip_prefix("load_balancer_")?.strip_prefix(name)?.strip_prefix(' ')
    });
    line.map(|value| value.parse().expect("a number"))
}
