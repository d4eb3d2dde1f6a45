//! Variables that are set by another name than the documentation has.

use super::remark::Remark;
use crate::config::environment::Environment;
use crate::config::problem::Problem;
use crate::config::table::{self, Row};

/// A line for each name that stands for another.
pub(super) fn aliases(environment: &Environment) -> Vec<Remark> {
    let written = table::rows().flat_map(|row| {
        let written = environment.all_written(row).filter(|written| written.name != row.name);
        written.map(|written| (written.name, row.name))
    });
    let line = |(name, documented)| {
        let text = format!("{name} is read as {documented}, the name that the documentation has");
        Remark::note(name, text)
    };
    written.map(line).collect()
}

/// Each name of a variable that says otherwise than the one that comes first.
pub(crate) fn contradictions(row: &Row, environment: &Environment) -> Vec<Problem> {
    let mut written = environment.all_written(row);
    let Some(first) = written.next() else { return Vec::new() };
    let others = written.filter(|other| !(row.is_same)(first.text, other.text));
    let problem = |name, text| {
        let reason = format!(
            "contradicts {}={}, of which it is another name; accepted: one of the two, or the \
             same value",
            first.name, first.text
        );
        Problem::new(name, Some(text), &reason)
    };
    others.map(|other| problem(other.name, other.text)).collect()
}
