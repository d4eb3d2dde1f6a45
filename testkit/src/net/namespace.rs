//! Network namespaces (`network_namespaces(7)`).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::address::ports;
use crate::skip::skip;

/// The name of both ends of the link.
const LINK: &str = "wire0";

/// Two network namespaces with a link between them; gone afterwards. The far one can fall silent.
#[derive(Debug)]
pub struct Namespaces {
    near: String,
    far: String,
    /// What is between them, where that is a process.
    distance: Option<Child>,
}

/// Moves packets from one namespace to the other and takes its time.
const DISTANCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/first_byte/link.py");

impl Namespaces {
    /// The near one's address.
    pub const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
    /// The far one's address.
    pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

    /// None where they cannot be made: the reason.
    pub fn new() -> Result<Self, String> {
        let made = Self::unlinked()?;
        let peer = ["peer", "name", LINK, "netns", &made.far];
        ip(&[&["-n", &made.near, "link", "add", "name", LINK, "type", "veth"], &peer[..]].concat())?;
        for (namespace, address) in [(&made.near, Self::NEAR), (&made.far, Self::FAR)] {
            let address = format!("{address}/24");
            ip(&["-n", namespace, "address", "add", &address, "dev", LINK])?;
            ip(&["-n", namespace, "link", "set", LINK, "up"])?;
        }
        Ok(made)
    }

    /// From now on packets are so large at most, headers included.
    pub fn set_mtu(&self, bytes: u32) {
        for namespace in [&self.near, &self.far] {
            ip(&["-n", namespace, "link", "set", LINK, "mtu", &bytes.to_string()]).unwrap();
        }
    }

    /// As [`Self::new`], where each packet is on its way for so long.
    pub fn apart(delay: Duration) -> Result<Self, String> {
        let mut made = Self::unlinked()?;
        let [near, far] = [Self::NEAR, Self::FAR].map(|address| format!("{address}/24"));
        let process = Command::new("python3")
            .args([DISTANCE, &delay.as_micros().to_string()])
            .args([&made.near, &near, &made.far, &far])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let process = process.map_err(|error| format!("python3: {error}"))?;
        let stdout = made.distance.insert(process).stdout.take();
        let mut line = String::new();
        let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
        match read {
            Some(Ok(_)) if line == "ready\n" => Ok(made),
            _ => Err("no TUN device".into()),
        }
    }

    fn unlinked() -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // Those of this process, not of a namespace.
        ports();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("slb-{}-{number}-{end}", process::id());
        let made = Self { near: name("near"), far: name("far"), distance: None };
        for namespace in [&made.near, &made.far] {
            ip(&["netns", "add", namespace])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        }
        Ok(made)
    }

    /// Runs `work` with its sockets, threads and processes in the near one.
    pub fn near<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.near, work)
    }

    /// Runs `work` with its sockets, threads and processes in the far one.
    pub fn far<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(&self.far, work)
    }

    /// From now on nothing comes from the far one any more, and nobody is told: were the link taken
    /// down, the near one would see that.
    pub fn silence_far(&self) {
        ip(&["-n", &self.far, "route", "add", "blackhole", &Self::NEAR.to_string()]).unwrap();
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        if let Some(mut distance) = self.distance.take() {
            // It ends with its standard input, too.
            let _ = distance.kill();
            let _ = distance.wait();
        }
        for namespace in [&self.near, &self.far] {
            // Fails for one that was never made.
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

/// Runs `test` at the MTUs of the internet and of a VPC.
pub fn at_each_mtu(test: impl Fn(&Namespaces) + Sync) {
    thread::scope(|scope| {
        for mtu in [1500, 9001] {
            let namespaces = match Namespaces::new() {
                Ok(namespaces) => namespaces,
                Err(reason) => return skip(&format!("no network namespaces: {reason}")),
            };
            namespaces.set_mtu(mtu);
            let test = &test;
            scope.spawn(move || namespaces.near(|| test(&namespaces)));
        }
    });
}

fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(format!("/run/netns/{namespace}")).unwrap();
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(format!("ip {}: {}", arguments.join(" "), error.trim()))
}
