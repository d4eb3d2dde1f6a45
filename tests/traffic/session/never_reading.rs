use std::collections::HashSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::BINARY;
use testkit::backend::RawTarget;
use testkit::balancer::Balancer;
use testkit::skip::skip;
use testkit::wait::wait_until;

/// More than a core leaves to the kernel's discretion.
const FIRST: usize = 40;
const MEASURED: usize = 16;
/// How long it takes the balancer, at most, to look at all connections.
const WALK: Duration = Duration::from_millis(1100);
const USER_KB_MAX: u64 = 64;
const ALL_KB_MAX: u64 = 976;

/// A client and its target; bytes that the one sends the other does not read.
struct Blocked {
    sender: TcpStream,
    reader: TcpStream,
}

impl Blocked {
    fn start(balancer: &Balancer, target: &RawTarget, by_client: bool) -> Self {
        let (client, server) = (balancer.connect(), target.accept());
        let (sender, reader) = if by_client { (client, server) } else { (server, client) };
        sender.set_nonblocking(true).unwrap();
        Self { sender, reader }
    }

    /// True if there was no room at all.
    fn fill(&mut self) -> bool {
        let piece = vec![7; 64 * 1024];
        let mut has_sent = false;
        loop {
            match self.sender.write(&piece) {
                Ok(_) => has_sent = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return !has_sent,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

fn fill(blocked: &mut [Blocked]) {
    let mut full_in_a_row = 0;
    wait_until("no room anywhere", || {
        std::thread::sleep(Duration::from_millis(10));
        let with_room = blocked.iter_mut().map(Blocked::fill).filter(|is_full| !is_full).count();
        full_in_a_row = if with_room == 0 { full_in_a_row + 1 } else { 0 };
        full_in_a_row == 30
    });
}

/// What the kernel holds for the balancer's ends of some connections, per connection, in kB.
fn kernel_kb(of: &[Blocked]) -> u64 {
    let output = Command::new("ss").arg("-tmnOH").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let sockets = String::from_utf8(output.stdout).unwrap();
    let name = |address: io::Result<SocketAddr>| address.unwrap().to_string();
    // The balancer's end has the two addresses the other way round.
    let of = of.iter().flat_map(|it| [&it.sender, &it.reader]);
    let ends: HashSet<_> = of.map(|it| [name(it.peer_addr()), name(it.local_addr())]).collect();
    let lines = sockets.lines().filter(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields.len() > 4 && ends.contains(&[fields[3], fields[4]].map(str::to_owned))
    });
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), ends.len(), "{sockets}");
    let bytes: u64 = lines.into_iter().map(held_bytes).sum();
    bytes * 2 / u64::try_from(ends.len()).unwrap() / 1024
}

/// What is queued each way: `r` and `w` of `skmem`, see ss(8).
fn held_bytes(line: &str) -> u64 {
    let fields = line.split(['(', ')', ',']);
    let sizes = fields.filter_map(|field| {
        ["r", "w"].iter().find_map(|name| field.strip_prefix(name)?.parse::<u64>().ok())
    });
    sizes.sum()
}

fn user_kb(balancer: &Balancer) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", balancer.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// A balancer of one core without a pool, and its target. None, and a line, where there is no `ss`.
fn start() -> Option<(RawTarget, Balancer)> {
    if Command::new("ss").arg("-V").output().is_err() {
        skip("there is no ss");
        return None;
    }
    let target = RawTarget::start();
    let balancer = BINARY.start(&[target.address], &[("CORES", "1"), ("POOL_SIZE", "0")]);
    Some((target, balancer))
}

/// Blocks some more, and sees that they are not bounded.
fn assert_unbounded(count: usize, block: impl Fn() -> Blocked) {
    let mut rest: Vec<_> = (0..count).map(|_| block()).collect();
    fill(&mut rest);
    let kernel_kb = kernel_kb(&rest);
    assert!(kernel_kb > 2 * ALL_KB_MAX, "bounded to {kernel_kb} kB without need");
}

fn assert_bounded(by_client: bool) {
    let Some((target, balancer)) = start() else { return };
    let block = || Blocked::start(&balancer, &target, by_client);
    let before_kb = user_kb(&balancer);
    // Half of them are there before it comes to that, and then given time to be found.
    let mut rest: Vec<_> = (0..MEASURED / 2).map(|_| block()).collect();
    let mut first: Vec<_> = (0..FIRST).map(|_| block()).collect();
    fill(&mut first);
    std::thread::sleep(2 * WALK);
    rest.extend((0..MEASURED / 2).map(|_| block()));
    fill(&mut rest);
    let user_kb = (user_kb(&balancer) - before_kb) / u64::try_from(FIRST + MEASURED).unwrap();
    assert!(user_kb <= USER_KB_MAX, "{user_kb} kB in user space");
    let (kernel_kb, first_kb) = (kernel_kb(&rest), kernel_kb(&first));
    println!("{user_kb} kB in user space, {kernel_kb} kB in the kernel, {first_kb} kB before");
    assert!(user_kb + kernel_kb <= ALL_KB_MAX, "{kernel_kb} kB in the kernel, not {first_kb} kB");
}

#[test]
fn clients_that_never_read_take_little_memory() {
    assert_bounded(false);
}

#[test]
fn targets_that_never_read_take_little_memory() {
    assert_bounded(true);
}

#[test]
fn sides_that_have_ended_are_none_that_never_read() {
    let Some((target, balancer)) = start() else { return };
    let block = || Blocked::start(&balancer, &target, false);
    let half_closed: Vec<_> = (0..FIRST).map(|_| block()).collect();
    for Blocked { sender, reader } in &half_closed {
        reader.shutdown(Shutdown::Write).unwrap();
        sender.set_nonblocking(false).unwrap();
        assert_eq!({ sender }.read(&mut [0]).unwrap(), 0);
    }
    std::thread::sleep(WALK);
    assert_unbounded(MEASURED / 2, block);
}

#[test]
fn who_reads_again_is_held_up_no_more() {
    let Some((target, balancer)) = start() else { return };
    let block = || Blocked::start(&balancer, &target, false);
    let mut first: Vec<_> = (0..FIRST).map(|_| block()).collect();
    fill(&mut first);
    std::thread::scope(|scope| {
        for Blocked { sender, reader } in &first {
            sender.shutdown(Shutdown::Write).unwrap();
            scope.spawn(move || io::copy(&mut { reader }, &mut io::sink()).unwrap());
        }
    });
    std::thread::sleep(2 * WALK);
    assert_unbounded(MEASURED / 4, block);
}
