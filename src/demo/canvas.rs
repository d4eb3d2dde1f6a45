use std::collections::VecDeque;
use std::fmt::Write as _;

/// So many lines above the picture are known: more than any terminal shows.
const ABOVE_MAX: usize = 500;

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// A picture of whole lines at the end of a terminal, and other lines above it: what to send to the
/// terminal for that. Pure.
///
/// Lines of the picture never wrap: they are cut at the edge, and so are those that there is no row
/// for. The control sequences are those of ECMA-48 and, for wrapping, DECAWM of the VT100.
#[derive(Debug, Default)]
pub(super) struct Canvas {
    /// As of the last time that something was sent.
    size: Option<Size>,
    picture: String,
    /// How many rows of it are there.
    painted: usize,
    /// The last lines that were written above it.
    above: VecDeque<String>,
}

impl Canvas {
    /// Paints `picture` over the last one.
    pub(super) fn paint(&mut self, size: Size, picture: String) -> String {
        let mut text = self.clear(size);
        self.picture = picture;
        text.push_str(&self.framed(size));
        text
    }

    /// Writes whole lines above the picture.
    pub(super) fn write(&mut self, size: Size, lines: &str) -> String {
        let mut text = self.clear(size);
        text.push_str(lines);
        self.above.extend(lines.lines().map(str::to_owned));
        self.above.drain(..self.above.len().saturating_sub(ABOVE_MAX));
        text.push_str(&self.framed(size));
        text
    }

    /// Others have written to the terminal: all that comes goes below.
    pub(super) fn forget(&mut self) {
        (self.painted, self.size) = (0, None);
        self.above.clear();
    }

    /// Back to where the picture begins, with nothing below.
    fn clear(&mut self, size: Size) -> String {
        let former = self.size.replace(size);
        if former.is_some_and(|former| former != size) {
            return self.anew(size);
        }
        let mut text = String::new();
        if self.painted > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, "\r\x1b[{}A\x1b[J", self.painted);
        }
        text
    }

    /// The lines above, in a terminal that has another size now. Some terminals have wrapped all
    /// lines anew by then, others have not: so everything that may be ours is overwritten.
    fn anew(&self, size: Size) -> String {
        let painted = self.picture.lines().take(self.painted);
        let picture: usize = painted.map(|line| rows(line, size)).sum();
        let above: usize = self.above.iter().map(|line| rows(line, size)).sum();
        // One more picture, since the last may have been painted while the size changed.
        let up = (above + picture + self.painted).min(size.rows.saturating_sub(1));
        let mut text = String::from("\r");
        if up > 0 {
            // Line by line: what is erased at once, some terminals keep to be scrolled back to.
            let _ = write!(text, "\x1b[{up}A{}\x1b[K\x1b[{up}A", "\x1b[K\n".repeat(up));
        }
        let mut room = up.saturating_sub(self.cut(size).count());
        let fitting = self.above.iter().rev().take_while(|line| {
            let rows = rows(line, size);
            let fits = rows <= room;
            room = room.saturating_sub(rows);
            fits
        });
        for line in fitting.collect::<Vec<_>>().into_iter().rev() {
            text.extend([line, "\n"]);
        }
        text
    }

    /// As much of the picture as there are rows for, less one for the cursor.
    fn cut(&self, size: Size) -> impl Iterator<Item = &str> {
        self.picture.lines().take(size.rows.saturating_sub(1))
    }

    fn framed(&mut self, size: Size) -> String {
        let lines: String = self.cut(size).map(|line| first(size.columns, line) + "\n").collect();
        self.painted = lines.lines().count();
        format!("\x1b[?7l{lines}\x1b[?7h")
    }
}

/// How many rows a line takes that wraps.
fn rows(line: &str, size: Size) -> usize {
    width(line).div_ceil(size.columns.max(1)).max(1)
}

/// Its characters, colours apart.
pub(super) fn width(line: &str) -> usize {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().map_or(0, |piece| piece.chars().count());
    let coloured = pieces.map(|piece| piece.split_once('m').map_or(0, |it| it.1.chars().count()));
    first + coloured.sum::<usize>()
}

/// As many of its characters as there are columns; all of its colours.
fn first(columns: usize, line: &str) -> String {
    let (mut left, mut is_colour) = (columns, false);
    let keep = |c: &char| {
        let is_kept = is_colour || *c == '\x1b' || left > 0;
        match *c {
            '\x1b' => is_colour = true,
            'm' if is_colour => is_colour = false,
            _ if is_colour => {}
            _ => left = left.saturating_sub(1),
        }
        is_kept
    };
    line.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { columns: 20, rows: 10 };

    #[test]
    fn the_next_picture_is_painted_over_the_last_and_lines_come_above_it() {
        let mut canvas = Canvas::default();
        assert_eq!(canvas.paint(SIZE, "a\nb\n".to_owned()), "\x1b[?7la\nb\n\x1b[?7h");
        let over = "\r\x1b[2A\x1b[J";
        assert_eq!(canvas.paint(SIZE, "c\n".to_owned()), format!("{over}\x1b[?7lc\n\x1b[?7h"));
        let over = "\r\x1b[1A\x1b[J";
        assert_eq!(canvas.write(SIZE, "log\n"), format!("{over}log\n\x1b[?7lc\n\x1b[?7h"));
        canvas.forget();
        assert_eq!(canvas.paint(SIZE, "d\n".to_owned()), "\x1b[?7ld\n\x1b[?7h");
    }

    #[test]
    fn a_terminal_of_few_rows_gets_the_first_lines() {
        let mut canvas = Canvas::default();
        let low = Size { rows: 3, ..SIZE };
        assert_eq!(canvas.paint(low, "a\nb\nc\n".to_owned()), "\x1b[?7la\nb\n\x1b[?7h");
        assert!(canvas.paint(low, "a\nb\nc\n".to_owned()).starts_with("\r\x1b[2A\x1b[J"));
    }

    #[test]
    fn another_size_has_all_that_may_be_ours_overwritten_and_written_again() {
        let mut canvas = Canvas::default();
        canvas.write(SIZE, "first\nsecond\n");
        canvas.paint(SIZE, "0123456789\nb\n".to_owned());
        // The picture's first line may have become two, of 5 columns each.
        let narrow = Size { columns: 5, rows: 10 };
        let text = canvas.paint(narrow, "c\nd\n".to_owned());
        let up = 1 + 2 + 2 + 1 + 2;
        assert!(text.starts_with(&format!("\r\x1b[{up}A\x1b[K\n\x1b[K\n")), "{text:?}");
        let end = "\x1b[8Afirst\nsecond\n\x1b[?7lc\nd\n\x1b[?7h";
        assert!(text.ends_with(end), "{text:?}");
        // And what no row is left for is not.
        let low = Size { columns: 5, rows: 5 };
        let text = canvas.paint(low, "c\nd\n".to_owned());
        assert!(text.starts_with("\r\x1b[4A"), "{text:?}");
        assert!(text.ends_with("\x1b[4Asecond\n\x1b[?7lc\nd\n\x1b[?7h"), "{text:?}");
    }

    #[test]
    fn colours_have_no_width() {
        assert_eq!(width("a\x1b[31mbc\x1b[0md■"), 5);
        assert_eq!(first(3, "a\x1b[31mbc\x1b[0md■"), "a\x1b[31mbc\x1b[0m");
        assert_eq!(first(9, "a\x1b[31mbc\x1b[0md■"), "a\x1b[31mbc\x1b[0md■");
        assert_eq!(rows("", SIZE), 1);
        assert_eq!(rows(&"x".repeat(20), SIZE), 1);
        assert_eq!(rows(&"x".repeat(21), SIZE), 2);
    }
}
