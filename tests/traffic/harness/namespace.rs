//! A network of a test's own, for what would disturb others: sysctls, and ports that run out.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Moves the calling thread, and whatever it starts from now on, into a new network namespace with
/// nothing but loopback.
///
/// # Errors
/// Why not: usually, this is not root.
pub(crate) fn enter() -> Result<(), String> {
    // It prints a line once it is inside and loopback is up, and holds the namespace until then.
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "ip link set lo up && echo up && read _"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .map_err(|error| format!("no unshare: {error}"))?;
    let mut up = [0; 3];
    let output = holder.stdout.as_mut().expect("it is piped");
    let entered = std::io::Read::read_exact(output, &mut up)
        .map_err(|_| "no network namespace can be made, which takes root".to_owned())
        .and_then(|()| {
            let namespace = File::open(format!("/proc/{}/ns/net", holder.id()));
            let namespace = namespace.map_err(|error| error.to_string())?;
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), kind).map_err(|error| error.to_string())
        });
    drop(holder.stdin.take());
    holder.wait().map_err(|error| error.to_string())?;
    entered
}
