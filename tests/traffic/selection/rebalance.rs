use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::eligibility::target_file::{start_with, write};
use testkit::backend::{Backend, addresses};
use testkit::balancer::Balancer;
use testkit::http::Client;
use testkit::scratch::Scratch;
use testkit::wait::{PATIENCE, wait_until};

const CLIENTS: usize = 60;
const BUSY: usize = 12;
const TALKERS: usize = 6;
/// Connections a second.
const RATE: f64 = 10.0;

struct Fleet {
    backends: Vec<Backend>,
    file: Scratch,
    balancer: Balancer,
}

impl Fleet {
    /// Two targets in use, a third that is not known yet.
    fn start(environment: &[(&str, &str)]) -> Self {
        let backends: Vec<_> = std::iter::repeat_with(Backend::start).take(3).collect();
        let file = Scratch::new();
        write(&file, &addresses(&backends[..2]));
        let balancer = start_with(&file, environment);
        for backend in &backends[..2] {
            balancer.wait_for_state(backend.address, "healthy");
        }
        Self { backends, file, balancer }
    }

    fn join_third(&self) {
        write(&self.file, &addresses(&self.backends));
        self.balancer.wait_for_state(self.backends[2].address, "healthy");
    }

    fn live(&self) -> Vec<usize> {
        self.backends.iter().map(Backend::live).collect()
    }
}

fn get(client: &mut Client) -> SocketAddr {
    let answer = client.get("/").unwrap();
    assert_eq!(answer.status, 200);
    answer.body.parse().unwrap()
}

/// A connection that has answered a request and rests.
fn rested(balancer: &Balancer) -> Client {
    let mut client = balancer.client();
    get(&mut client);
    client.0.set_nonblocking(true).unwrap();
    client
}

/// Whether the other end has sent FIN, and nothing but that.
fn has_ended(client: &Client) -> bool {
    match client.0.peek(&mut [0]) {
        Ok(0) => true,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        other => panic!("neither FIN nor nothing: {other:?}"),
    }
}

/// Clients that have something to say more often than those that rest.
struct Talk {
    clients: Vec<Client>,
    said: Instant,
    /// The longest that they were silent.
    pause: Duration,
}

impl Talk {
    fn start(balancer: &Balancer) -> Self {
        let clients = (0..TALKERS).map(|_| balancer.client()).collect();
        let mut talk = Self { clients, said: Instant::now(), pause: Duration::ZERO };
        for client in &mut talk.clients {
            get(client);
        }
        talk
    }

    fn go_on(&mut self) {
        let pause = self.said.elapsed();
        if pause < Duration::from_millis(1300) {
            return;
        }
        self.pause = self.pause.max(pause);
        for client in &mut self.clients {
            let answer = client.get("/");
            // A machine that is too busy for them to talk has them rest.
            assert!(answer.is_ok() || self.pause > Duration::from_millis(1900), "{answer:?}");
        }
        self.said = Instant::now();
    }
}

/// Sends the beginning of a request.
fn begin(client: &mut Client) {
    client.0.write_all(b"GET / HTTP/1.1\r\n").unwrap();
}

/// The answer once all of the request was sent.
fn finish(client: &mut Client) -> io::Result<u16> {
    client.0.write_all(b"Host: x\r\n\r\n")?;
    client.receive().map(|answer| answer.status)
}

#[test]
fn connections_of_long_standing_make_room_at_the_rate_and_none_that_works() {
    let fleet = Fleet::start(&[("REBALANCE_RATE", "10"), ("POOL_SIZE", "0")]);
    let balancer = &fleet.balancer;
    let mut resting: Vec<_> = (0..CLIENTS).map(|_| rested(balancer)).collect();
    let mut busy: Vec<_> = (0..BUSY).map(|_| balancer.client()).collect();
    busy.iter_mut().for_each(begin);
    wait_until("all are connected", || fleet.live().iter().sum::<usize>() == CLIENTS + BUSY);

    let mut talk = Talk::start(balancer);

    fleet.join_third();
    let joined = Instant::now();
    balancer.wait_for_log("rebalancing begins");
    let mut ended = Vec::new();
    while balancer.log_lines("rebalancing ends").is_empty() {
        assert!(joined.elapsed() < 2 * PATIENCE, "{:?} after {} ends", fleet.live(), ended.len());
        for client in resting.iter_mut().filter(|client| has_ended(client)) {
            ended.push(joined.elapsed().as_secs_f64());
            *client = rested(balancer);
        }
        talk.go_on();
        thread::sleep(Duration::from_millis(5));
    }
    // 78 over three, and the tolerance; one that came back may be too many again.
    let live = fleet.live();
    assert!(live.iter().all(|count| (20..=28).contains(count)), "{live:?}");
    assert_eq!(balancer.count("rebalanced_connections_total"), ended.len() as u64);
    let took = ended[ended.len() - 1] - ended[0];
    let expected = f64::from(u32::try_from(ended.len()).unwrap()) / RATE;
    assert!(took > expected * 0.7 - 0.3, "{} ended within {took} s", ended.len());
    assert!(took < expected * 2.0 + 2.0, "{} took {took} s", ended.len());
    // Each of these has begun a request before the third joined.
    for client in &mut busy {
        assert_eq!(finish(client).unwrap(), 200);
    }
    // Nobody else has been closed, nor is any more.
    assert!(!resting.iter().any(has_ended));
}

#[test]
fn without_a_rate_connections_stay_where_they_are() {
    let fleet = Fleet::start(&[]);
    let clients: Vec<_> = (0..CLIENTS).map(|_| rested(&fleet.balancer)).collect();
    fleet.join_third();
    let joined = Instant::now();
    // Longer than others would have been left in peace.
    while joined.elapsed() < Duration::from_secs(4) {
        assert!(!clients.iter().any(has_ended));
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(fleet.balancer.count("rebalanced_connections_total"), 0);
    assert!(fleet.balancer.log_lines("rebalancing").is_empty());
}
