use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than the admin server of the same process takes.
const TIMEOUT: Duration = Duration::from_millis(500);

/// Has the balancer drain the target at `address`, or use it again: by its admin server, as an
/// operator would.
///
/// # Errors
/// Why it did not obey.
pub(super) fn drain(admin: SocketAddr, address: SocketAddr, drains: bool) -> Result<(), String> {
    let wish = if drains { "drain" } else { "undrain" };
    let asked = format!("POST http://{admin}/targets/{address}/{wish}");
    let head = format!(
        "POST /targets/{address}/{wish} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    );
    let answer = TcpStream::connect_timeout(&admin, TIMEOUT).and_then(|mut stream| {
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    });
    match answer {
        Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => Ok(()),
        Ok(answer) => Err(format!("{asked}: {}", answer.lines().next().unwrap_or_default())),
        Err(error) => Err(format!("{asked}: {error}")),
    }
}
