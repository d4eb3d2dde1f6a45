//! Several services in one process: each has targets, checks and limits as if it were alone, but for
//! what counts over all.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use serde_json::Value;
use testkit::backend::HealthServer;
use testkit::balancer::Balancer;
use testkit::http;
use testkit::net::address::{ports, unique};
use testkit::net::stream;
use testkit::wait::{wait_for, wait_until};

use crate::BINARY;

/// What the targets of the second service answer; those of the first say 200.
const SECOND: u16 = 202;

/// Two instances, each with a server for either service.
struct Instances {
    ips: [IpAddr; 2],
    first: [HealthServer; 2],
    second: [HealthServer; 2],
}

impl Instances {
    fn start() -> Self {
        let ips = [(); 2].map(|()| unique());
        let serve = |port| ips.map(|ip| HealthServer::start_on(SocketAddr::new(ip, port)));
        let (first, second) = (serve(ports().target), serve(ports().health));
        for server in &second {
            server.set_status(SECOND);
        }
        Self { ips, first, second }
    }

    /// A balancer of both services, `environment` last; `NAME_@` is the second service's `NAME`.
    fn spawn(&self, environment: &[(&str, &str)]) -> Balancer {
        self.run(environment, |environment| BINARY.spawn(&[], environment))
    }

    /// The same with sockets at these ports, as of a service manager.
    fn spawn_with_sockets(&self, ports: &[u16], environment: &[(&str, &str)]) -> Balancer {
        self.run(environment, |environment| BINARY.spawn_with_sockets(ports, &[], environment))
    }

    fn run(
        &self,
        environment: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Balancer,
    ) -> Balancer {
        let ports =
            format!("{}:{},{}:{}", ports().clients, ports().target, second_port(), ports().health);
        let targets = self.ips.map(|ip| ip.to_string()).join(",");
        let own = |name: &str| name.replace('@', &second_port().to_string());
        let environment: Vec<_> = environment.iter().map(|(name, it)| (own(name), *it)).collect();
        let base = [("PORT", &*ports), ("TARGETS", &*targets), ("HEALTH_CHECK_PORT", "")];
        let environment = environment.iter().map(|(name, value)| (&**name, *value));
        start(&base.into_iter().chain(environment).collect::<Vec<_>>())
    }

    fn start_balancer(&self, environment: &[(&str, &str)]) -> Balancer {
        let balancer = self.spawn(environment);
        balancer.wait_until_ready();
        balancer
    }
}

/// Where clients of the second service connect.
fn second_port() -> u16 {
    ports().health
}

fn second(balancer: &Balancer) -> SocketAddr {
    SocketAddr::new(balancer.address.ip(), second_port())
}

/// The status of one request to a service; `None` if there was no answer.
fn status(service: SocketAddr) -> Option<u16> {
    http::get(service, "/").ok().map(|answer| answer.status)
}

/// How the targets of a service are, by the port that clients connect to.
fn states(balancer: &Balancer, service: u16) -> Vec<String> {
    let targets = balancer.targets().into_iter().filter(|it| it["service"] == service);
    targets.map(|it| it["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_whose_targets_are_all_down_does_not_touch_the_other() {
    let mut instances = Instances::start();
    let balancer = instances.start_balancer(&[("HEALTH_CHECK_FALL", "1")]);
    let [first, other] = [balancer.address, second(&balancer)];
    assert_eq!([status(first), status(other)], [Some(200), Some(SECOND)]);

    instances.second.iter_mut().for_each(HealthServer::kill);
    let fail_open = format!("fail_open{{service=\"{}\"}}", second_port());
    balancer.wait_for_count(&fail_open, 1);
    for _ in 0..50 {
        assert_eq!(status(first), Some(200));
        assert_eq!(status(other), None);
    }
    let of = |name: &str, port: u16| balancer.count(&format!("{name}{{service=\"{port}\"}}"));
    assert_eq!(of("failed_connections_total", ports().clients), 0);
    assert!(of("failed_connections_total", second_port()) >= 50);
    assert_eq!(of("fail_open", ports().clients), 0);
    let ready = |query: &str| balancer.admin_get(&format!("/readyz{query}")).unwrap();
    let asked = format!("?service={}", second_port());
    assert!(ready(&asked).body.contains("fail-open: 0 of 2"), "{:?}", ready(&asked));
    assert_eq!(ready(&format!("?service={}", ports().clients)).body, "ready\n");
    assert_eq!((ready("").status, ready("?service=1").status), (200, 400));

    instances.second.iter_mut().for_each(HealthServer::revive);
    balancer.wait_for_count(&fail_open, 0);
    assert_eq!([status(first), status(other)], [Some(200), Some(SECOND)]);
    assert_eq!(of("failed_connections_total", ports().clients), 0);
}

#[test]
fn a_drain_takes_the_instance_out_of_every_service() {
    let instances = Instances::start();
    let balancer = instances.start_balancer(&[]);
    let services = [ports().clients, second_port()];
    for service in services {
        wait_for("both healthy", || states(&balancer, service), |it| *it == ["healthy"; 2]);
    }
    let ip = instances.ips[0];
    let post = |name: String, what: &str| {
        let path = format!("/targets/{name}/{what}");
        let answer = http::request(balancer.admin, "POST", &path).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(answer["targets"].as_array().unwrap().len(), 2, "one of each service");
    };
    // By its address alone, which is its id, and by where it serves for one of them.
    post(ip.to_string(), "drain");
    for service in services {
        assert_eq!(states(&balancer, service), ["draining", "healthy"], "{service}");
    }
    post(SocketAddr::new(ip, ports().health).to_string(), "undrain");
    for service in services {
        assert_eq!(states(&balancer, service), ["healthy"; 2], "{service}");
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    let instances = Instances::start();
    let balancer = instances.start_balancer(&[("HOST_1", "db"), ("CORES_2", "x")]);
    assert_eq!(status(balancer.address), Some(200));
}

#[test]
fn what_is_set_for_one_holds_for_that_one() {
    let mut instances = Instances::start();
    instances.second.iter_mut().for_each(HealthServer::kill);
    let listener = TcpListener::bind(instances.second[0].address).unwrap();
    let balancer = instances.spawn(&[
        ("HEALTH_CHECK_PATH_@", "/other"),
        ("HEALTH_CHECK_TIMEOUT_@", "100ms"),
        ("PROXY_PROTOCOL_@", "v1"),
    ]);
    // It never answers: all targets of its service are used under fail-open.
    let fail_open = format!("fail_open{{service=\"{}\"}}", second_port());
    wait_until("it is listened to", || balancer.admin_get("/healthz").is_some());
    balancer.wait_for_count(&fail_open, 1);
    let _client = stream::connect(second(&balancer)).unwrap();
    let (mut checks, mut headers) = (0, 0);
    while checks * headers == 0 {
        let mut line = String::new();
        let (stream, _) = listener.accept().unwrap();
        BufReader::new(stream).read_line(&mut line).unwrap();
        match line.split(' ').next() {
            Some("GET") => assert!(line.starts_with("GET /other "), "{line}"),
            Some("PROXY") => headers += 1,
            _ => continue,
        }
        checks += usize::from(line.starts_with("GET"));
    }
    assert_eq!(states(&balancer, ports().clients), ["healthy"; 2]);
    assert_eq!(status(balancer.address), Some(200));
}

#[test]
fn one_check_at_a_port_of_its_own_is_for_all_services() {
    let mut instances = Instances::start();
    let port = ports().target.to_string();
    let balancer = instances.start_balancer(&[("HEALTH_CHECK_PORT", &port)]);
    wait_for("checks", || instances.first[0].checks(), |checks| *checks >= 3);
    assert_eq!(instances.second[0].checks(), 0, "nobody asks there");
    assert_eq!(status(second(&balancer)), Some(SECOND));
    instances.first[0].kill();
    for service in [ports().clients, second_port()] {
        wait_for("one is out", || states(&balancer, service), |it| it[0] == "unhealthy");
    }
}

#[test]
fn connections_count_over_all_services() {
    let instances = Instances::start();
    let balancer = instances.start_balancer(&[("MAX_CONNECTIONS", "1")]);
    let kept = balancer.connect();
    wait_until("it is served", || {
        let active = format!("active_connections{{service=\"{}\"}}", ports().clients);
        balancer.count(&active) == 1
    });
    assert_eq!(status(second(&balancer)), None);
    let rejected = format!(
        "rejected_connections_total{{reason=\"max_connections\",service=\"{}\"}}",
        second_port()
    );
    balancer.wait_for_count(&rejected, 1);
    drop::<TcpStream>(kept);
    wait_until("there is room", || status(second(&balancer)) == Some(SECOND));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    let instances = Instances::start();
    let own_port = SocketAddr::new(instances.ips[0], 81).to_string();
    for (variables, told) in [
        (vec![("TARGETS", &*own_port)], "has a port of its own"),
        (vec![("HEALTH_CHECK_PATH_1", "/a")], "HEALTH_CHECK_PATH_1=\"/a\" is for a service that"),
        (vec![("MAX_CONNECTIONS_@", "5")], "accepted for one: HEALTH_CHECK_*, BALANCE and"),
        (vec![("HEALTH_CHECK_PATH_@", "a")], "HEALTH_CHECK_PATH_"),
        (vec![("BALANCE_@", "fair")], "BALANCE_"),
        (vec![("PORT", "80:1,80:2")], "is there twice: port 80"),
    ] {
        let mut balancer = instances.spawn(&variables);
        let (code, _) = balancer.wait_for_end();
        let log = balancer.process.stderr().clone();
        assert_eq!(code, Some(78), "{log}");
        assert!(log.contains(told), "{told}: {log}");
    }
}

#[test]
fn inherited_sockets_are_matched_by_port() {
    let instances = Instances::start();
    let (first, other) = (ports().clients, second_port());
    // In another order than the services.
    let balancer = instances.spawn_with_sockets(&[other, first], &[]);
    wait_until("it listens", || balancer.readiness() == Some(200));
    assert_eq!([status(balancer.address), status(second(&balancer))], [Some(200), Some(SECOND)]);

    // Without PORT each is a service; their targets are at one port then.
    let target_port = ports().target.to_string();
    let variables = [("PORT", ""), ("TARGET_PORT", &*target_port)];
    let balancer = instances.spawn_with_sockets(&[first, other], &variables);
    wait_until("it listens", || balancer.readiness() == Some(200));
    assert_eq!([status(balancer.address), status(second(&balancer))], [Some(200); 2]);

    let mut balancer = instances.spawn_with_sockets(&[first], &[]);
    assert_eq!(balancer.wait_for_end().0, Some(78));
    let told = format!("has no socket for the service at port {other}");
    assert!(balancer.process.stderr().contains(&told), "{}", balancer.process.stderr());
}
