use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps a picture of whole lines at the end of the terminal, and log lines above it.
///
/// Lines of the picture never wrap: the way back up counts them as they were written. The control
/// sequences are those of ECMA-48 and, for wrapping, DECAWM of the VT100.
#[derive(Debug, Default)]
pub(super) struct Painter {
    picture: Mutex<String>,
}

impl Painter {
    /// Paints `picture` over the last one.
    pub(super) fn paint(&self, picture: String) {
        let mut shown = self.shown();
        print(&format!("{}{}", erase(&shown), framed(&picture)));
        *shown = picture;
    }

    /// Paints the next picture below whatever others may have written since.
    pub(super) fn forget(&self) {
        self.shown().clear();
    }

    fn shown(&self) -> MutexGuard<'_, String> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes log lines above the picture.
#[derive(Debug)]
pub(super) struct LogLines(pub(super) Arc<Painter>);

impl Write for LogLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let shown = self.0.shown();
        print(&format!("{}{}{}", erase(&shown), String::from_utf8_lossy(lines), framed(&shown)));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Back to where `picture` begins, and nothing below.
fn erase(picture: &str) -> String {
    let mut text = String::new();
    let lines = picture.matches('\n').count();
    if lines > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, "\r\x1b[{lines}A\x1b[J");
    }
    text
}

fn framed(picture: &str) -> String {
    format!("\x1b[?7l{picture}\x1b[?7h")
}

fn print(text: &str) {
    // Nobody looks any more: no reason to end.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}
