use std::ffi::OsStr;
use std::io;

use rustix::fs::fstat;

use crate::logging::LogFormat;

/// `format` as it suits standard error: text that the journal reads has no time of its own there.
/// Each object of JSON stays as it is, for whoever reads them: their `ts` and `level` tell.
pub(crate) fn adapt(format: LogFormat) -> LogFormat {
    let stream = std::env::var_os("JOURNAL_STREAM");
    match format {
        LogFormat::Text if stream.is_some_and(|stream| is_stderr(&stream)) => LogFormat::Journal,
        format => format,
    }
}

/// Whether the journal reads standard error: what systemd has passed is the device and inode of its
/// stream (systemd.exec(5), `$JOURNAL_STREAM`). Other streams may have taken its place since.
fn is_stderr(stream: &OsStr) -> bool {
    let Ok(stat) = fstat(io::stderr()) else { return false };
    stream == OsStr::new(&format!("{}:{}", stat.st_dev, stat.st_ino))
}
