/// Columns and rows of the smallest usual terminal.
pub(crate) const COLUMNS: usize = 80;
pub(crate) const ROWS: usize = 24;

/// What a terminal of 80 by 24 shows, and what has scrolled out of it, after printing `output`.
/// Knows as much of ECMA-48 as the demo uses: up, erasing below and to the right, and whether lines
/// wrap.
pub(crate) fn screen(output: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut row, mut column, mut wraps) = (0_usize, 0_usize, true);
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            '\x1b' => {
                let sequence = control_sequence(&mut rest);
                let (number, action) = sequence.split_at(sequence.len() - 1);
                match (number, action) {
                    (_, "A") => {
                        let top = lines.len().saturating_sub(ROWS);
                        row = row.saturating_sub(number.parse().unwrap_or(1)).max(top);
                    }
                    ("", "J") => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    ("", "K") => lines[row].truncate(column),
                    ("?7", _) => wraps = action == "h",
                    (_, "m") => {}
                    _ => panic!("unknown control sequence {sequence:?}"),
                }
            }
            c => {
                if column == COLUMNS && wraps {
                    (row, column) = (row + 1, 0);
                }
                let at = column.min(COLUMNS - 1);
                lines.resize(lines.len().max(row + 1), Vec::new());
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(at + 1), ' ');
                line[at] = c;
                column = at + 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    lines.into_iter().map(String::from_iter).collect()
}

/// What follows the escape, without its bracket, up to and with the letter that ends it.
fn control_sequence(rest: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    for c in rest.skip(1) {
        text.push(c);
        if c.is_ascii_alphabetic() {
            break;
        }
    }
    assert!(!text.is_empty(), "a control sequence was cut");
    text
}
