//! Every variable that configures the balancer, described once. Reading, `--help`, the README's table,
//! "did you mean" and "has no effect" all follow from it.

mod balancing;
mod connecting;
mod connections;
mod discovery;
mod health;
mod listening;
mod operation;
mod row;

pub(crate) use balancing::*;
pub(crate) use connecting::*;
pub(crate) use connections::*;
pub(crate) use discovery::*;
pub(crate) use health::*;
pub(crate) use listening::*;
pub(crate) use operation::*;
pub(crate) use row::{Row, Variable};

/// The parts of the table, in the order users see them.
static PARTS: [&[&Row]; 7] = [
    listening::ROWS,
    discovery::ROWS,
    health::ROWS,
    balancing::ROWS,
    connecting::ROWS,
    connections::ROWS,
    operation::ROWS,
];

/// Every variable, in the order users see them.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    PARTS.iter().flat_map(|part| part.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::row::DefaultValue;
    use super::*;

    /// The table as the README has it.
    fn markdown() -> String {
        let line = |row: &Row| {
            let default = match row.default {
                DefaultValue::Value(value) => format!("`{value}`"),
                DefaultValue::Described(words) => words.to_owned(),
            };
            format!("| `{}` | {default} | {} |\n", row.name, row.description())
        };
        let head = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
        rows().map(line).fold(head, |table, line| table + &line)
    }

    #[test]
    fn the_readme_has_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let readme = std::fs::read_to_string(path).unwrap();
        let table = markdown();
        assert!(readme.contains(&table), "the README's table should be:\n{table}");
    }

    #[test]
    fn defaults_can_be_used() {
        for row in rows() {
            assert_eq!((row.check)(None), Ok(()), "{}", row.name);
        }
    }

    #[test]
    fn each_name_means_one_variable() {
        let mut seen = BTreeSet::new();
        for name in rows().flat_map(|row| row.names().chain(row.synonyms.iter().copied())) {
            assert!(seen.insert(name), "{name} is there twice");
        }
    }

    #[test]
    fn descriptions_fit_into_a_markdown_table() {
        for row in rows() {
            assert!(!row.description().contains(['|', '\n', '`', '\\']), "{}", row.name);
        }
    }
}
