//! Tests that lack a program or a right.

use std::io::Write;

/// Says that the calling test did not run, and why, where it is seen even for a test that passes:
/// a write to the stream itself is not captured. The test then returns.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {reason}\n", thread.name().unwrap_or("unnamed test"));
    // Without standard error there is nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
