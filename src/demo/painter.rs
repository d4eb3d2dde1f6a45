use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::tcgetwinsize;

use super::canvas::{Canvas, Size};

/// Keeps a picture at the end of the terminal that standard output is, and log lines above it.
#[derive(Debug, Default)]
pub(super) struct Painter {
    canvas: Mutex<Canvas>,
}

impl Painter {
    /// Paints `picture` over the last one.
    pub(super) fn paint(&self, picture: String) {
        say(&self.canvas().paint(size(), picture));
    }

    /// Writes whole lines above the picture.
    pub(super) fn write(&self, lines: &str) {
        say(&self.canvas().write(size(), lines));
    }

    /// Paints the next picture below whatever others may have written since.
    pub(super) fn forget(&self) {
        self.canvas().forget();
    }

    fn canvas(&self) -> MutexGuard<'_, Canvas> {
        self.canvas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes log lines above the picture.
#[derive(Debug)]
pub(super) struct LogLines(pub(super) Arc<Painter>);

impl Write for LogLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write(&String::from_utf8_lossy(lines));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As large as can be where the terminal does not say.
fn size() -> Size {
    let known = |count: u16| if count == 0 { usize::MAX } else { count.into() };
    let size = tcgetwinsize(io::stdout());
    size.map_or(Size { columns: usize::MAX, rows: usize::MAX }, |size| Size {
        columns: known(size.ws_col),
        rows: known(size.ws_row),
    })
}

/// Prints to standard output, if anybody reads it: that nobody does is no reason to end.
pub(super) fn say(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}
