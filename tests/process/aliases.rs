//! Variables by another name than the documentation has.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::BINARY;
use testkit::backend::Backend;
use testkit::process::{Ended, end};

/// A target whose listen queue is full: the kernel drops whatever else comes, without a word.
fn full() -> (Socket, SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let short = Duration::from_millis(100);
    let queued = std::iter::from_fn(|| TcpStream::connect_timeout(&address, short).ok()).collect();
    (socket, address, queued)
}

/// Ends since of its variables these are bad, or for nothing else.
fn refused(variables: &[(&str, &str)]) -> Ended {
    let fine = [("NODE_FILTER", "static"), ("TARGETS", "127.0.0.9:9"), ("HOST", "127.0.0.1")];
    let ended = BINARY.run_to_end(fine.iter().chain(variables).copied());
    assert_eq!(ended.code, Some(78), "{variables:?}: {}", ended.stderr);
    assert!(ended.stderr.contains("(1 variable)"), "{variables:?}: {}", ended.stderr);
    ended
}

#[test]
fn an_alias_does_what_the_documented_name_does() {
    let (_target, address, _queued) = full();
    let once = [("CONNECT_ATTEMPTS", "1"), ("HEALTH_CHECK_TIMEOUT", "100ms")];
    let balancer = BINARY.spawn(&[address], &[&once[..], &[("CONNECT_TIMEOUT", "50ms")]].concat());
    balancer.wait_until_ready();
    let began = Instant::now();
    let mut client = TcpStream::connect(balancer.address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // Nothing comes, and the end comes sooner than the default would let it.
    assert!(!client.read(&mut [0]).is_ok_and(|bytes| bytes > 0));
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[test]
fn the_log_and_check_name_the_documented_one() {
    let backend = Backend::start();
    let alias = [("CONNECT_TIMEOUT", "1s")];
    let balancer = BINARY.start(&[backend.address], &alias);
    let line = "CONNECT_TIMEOUT is read as POOL_TIMEOUT";
    balancer.wait_for_log(line);
    let target = backend.address.to_string();
    let variables = [("NODE_FILTER", "static"), ("TARGETS", target.as_str()), alias[0]];
    let check = end(BINARY.command().arg("check").envs(variables));
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains(line), "{}", check.stdout);
    assert!(check.stdout.contains(" 0 warnings"), "{}", check.stdout);
    let silent = BINARY.start(&[backend.address], &[("POOL_TIMEOUT", "1s")]);
    assert!(!silent.process.stderr().contains("POOL_TIMEOUT"), "{}", silent.process.stderr());
}

#[test]
fn an_error_names_the_variable_that_was_written() {
    let ended = refused(&[("CONNECT_TIMEOUT", "2 s")]);
    let line = ended.line("CONNECT_TIMEOUT=\"2 s\"");
    assert!(line.contains("accepted: a whole number, in seconds"), "{line}");
    assert!(!ended.stderr.contains("POOL_TIMEOUT"), "{}", ended.stderr);
    assert_ne!(refused(&[("POOL_TIMEOUT", "2 s")]).line("POOL_TIMEOUT=\"2 s\""), "");
}

#[test]
fn both_names_may_be_set_to_one_value_and_not_to_two() {
    let backend = Backend::start();
    for same in ["1s", "1000ms", "1"] {
        let both = [("CONNECT_TIMEOUT", same), ("POOL_TIMEOUT", "1s")];
        drop(BINARY.start(&[backend.address], &both));
    }
    let ended = refused(&[("CONNECT_TIMEOUT", "1s"), ("POOL_TIMEOUT", "2s")]);
    let line = ended.line("CONNECT_TIMEOUT=\"1s\" contradicts POOL_TIMEOUT=2s");
    assert!(line.contains("accepted: one of the two"), "{line}");
}

#[test]
fn help_lists_an_alias_with_its_variable() {
    let help = end(BINARY.command().arg("--help")).stdout;
    let line = help.lines().find(|line| line.starts_with("POOL_TIMEOUT ")).unwrap();
    assert!(line.ends_with("also accepted as CONNECT_TIMEOUT"), "{line}");
}
