//! The own zone from an instance metadata service that is slow, wrong and unwilling before it
//! answers.
use crate::plane::{Plane, serve_at, settings, target};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use testkit::wait::wait_for;

use control::discovery::DiscoverySettings::Static;
use control::zone::ZoneSettings;
use exchange::Locality;

const TOKEN: &str = "AQAEAFdSZQ==";
const TIMEOUT: Duration = Duration::from_secs(5);

/// A metadata service of version 2. The first attempt to get a token hangs, the second is answered
/// by 404, the third leads to garbage; further ones succeed once the service is allowed to.
struct Metadata {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_good: AtomicBool,
    tokens_asked: AtomicUsize,
    unauthorized: AtomicUsize,
}

impl Metadata {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let metadata = Self { address: listener.local_addr().unwrap(), shared: Arc::default() };
        let shared = Arc::clone(&metadata.shared);
        thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                match shared.answer(&read_head(&stream)) {
                    None => hanging.push(stream),
                    Some((status, body)) => answer(stream, status, body),
                }
            }
        });
        metadata
    }

    fn settings(&self) -> ZoneSettings {
        ZoneSettings::Metadata(format!("http://{}", self.address).parse().unwrap())
    }

    fn tokens_asked(&self) -> usize {
        self.shared.tokens_asked.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn answer(&self, head: &[String]) -> Option<(u16, &'static str)> {
        let has = |line: &str| head.iter().any(|it| it.eq_ignore_ascii_case(line));
        match head[0].as_str() {
            "PUT /latest/api/token HTTP/1.1" => {
                let attempt = self.tokens_asked.fetch_add(1, Ordering::SeqCst);
                if !has("X-aws-ec2-metadata-token-ttl-seconds: 60") || !has("Content-Length: 0") {
                    return Some((400, "no TTL"));
                }
                match attempt {
                    0 => None,
                    2 => Some((200, TOKEN)),
                    _ if self.is_good.load(Ordering::SeqCst) => Some((200, TOKEN)),
                    _ => Some((404, "not here")),
                }
            }
            "GET /latest/meta-data/placement/availability-zone HTTP/1.1" => {
                if !has(&format!("X-aws-ec2-metadata-token: {TOKEN}")) {
                    self.unauthorized.fetch_add(1, Ordering::SeqCst);
                    return Some((401, "no token"));
                }
                let is_good = self.is_good.load(Ordering::SeqCst);
                Some((200, if is_good { "b" } else { "<html>\n\u{1b}[31m" }))
            }
            other => panic!("an unexpected request: {other}"),
        }
    }
}

fn read_head(stream: &TcpStream) -> Vec<String> {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn answer(mut stream: TcpStream, status: u16, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).unwrap();
}

#[test]
fn the_own_zone_is_asked_for_until_it_is_known() {
    let metadata = Metadata::start();
    // In the order of their addresses.
    let servers = [1, 2, 3].map(|last| serve_at(SocketAddr::from(([127, 0, 9, last], 0)), 200));
    let zones = ["a", "b", "a"];
    let targets = servers.iter().zip(zones).map(|(server, zone)| target(server).in_zone(zone));
    let mut settings = settings(Static(targets.collect()), TIMEOUT);
    settings.zone = metadata.settings();
    let plane = Plane::start(settings);

    plane.wait_for_states("healthy* healthy* healthy*");
    wait_for("four attempts", || metadata.tokens_asked(), |asked| *asked >= 4);
    let snapshot = plane.snapshot();
    assert_eq!((snapshot.own_zone().map(|zone| &**zone), snapshot.localities()), (None, &[][..]));

    metadata.shared.is_good.store(true, Ordering::SeqCst);
    let snapshot = wait_for("the own zone", || plane.snapshot(), |it| it.own_zone().is_some());
    assert_eq!(snapshot.own_zone().map(|zone| &**zone), Some("b"));
    // One of three for one half: two thirds stay.
    let share = Locality::WHOLE * 2 / 3;
    assert_eq!(
        snapshot.localities(),
        [Locality::new(share, vec![1]), Locality::new(Locality::WHOLE - share, vec![0, 2]),]
    );
    assert_eq!(metadata.shared.unauthorized.load(Ordering::SeqCst), 0);
    let asked = metadata.tokens_asked();
    servers[0].set_status(500);
    plane.wait_for_states("unhealthy healthy* healthy*");
    assert_eq!(plane.snapshot().localities(), [Locality::new(65536, vec![1])]);
    assert_eq!(metadata.tokens_asked(), asked, "it is asked once it is known");
}
