//! Health checks of real servers, as seen by a core.
use crate::plane::{Plane, serve, serve_at, settings, target};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};
use testkit::wait::wait_for;

use control::Settings;
use control::discovery::DiscoverySettings::Static;

const LONG: Duration = Duration::from_secs(5);
const SHORT: Duration = Duration::from_millis(200);

#[test]
fn targets_are_what_they_answer() {
    // In the order of their addresses; 0 hangs.
    let servers = [(1, 200), (2, 500), (3, 302), (4, 0)]
        .map(|(last, status)| serve_at(SocketAddr::from(([127, 0, 9, last], 0)), status));
    let refused = TcpListener::bind("127.0.9.5:0").unwrap().local_addr().unwrap();
    let mut targets: Vec<_> = servers.iter().map(|it| target(it)).collect();
    targets.push(exchange::Target::at(refused));
    let plane = Plane::start(settings(Static(targets), SHORT));
    plane.wait_for_states("healthy* unhealthy healthy* unhealthy unhealthy");
    let latency = plane.metric("load_balancer_health_check_latency_seconds_count").unwrap();
    assert!(latency >= 11.0, "{latency}");
    let failures = |address: SocketAddr| {
        let series = format!("load_balancer_health_check_failures_total{{node=\"{address}\"}}");
        plane.metric(&series)
    };
    assert_eq!(failures(servers[0].address), Some(0.0));
    for address in [servers[1].address, servers[3].address, refused] {
        assert!(failures(address) >= Some(3.0), "{address}: {:?}", failures(address));
    }
}

#[test]
fn a_target_goes_and_comes_by_fall_and_rise() {
    let server = serve(200);
    let steady = serve(200);
    let mut targets = [&server, &steady];
    targets.sort_by_key(|server| server.address);
    let first = targets[0].address == server.address;
    let show = |changing: &str| {
        if first { format!("{changing} healthy*") } else { format!("healthy* {changing}") }
    };
    let targets = targets.iter().map(|server| target(server)).collect();
    let plane = Plane::start(settings(Static(targets), LONG));
    plane.wait_for_states(&show("healthy*"));
    for _ in 0..3 {
        let before = server.checks();
        server.set_status(503);
        plane.wait_for_states(&show("unhealthy"));
        assert!(server.checks() - before >= 3, "fall is 3");
        let before = server.checks();
        server.set_status(200);
        plane.wait_for_states(&show("healthy*"));
        assert!(server.checks() - before >= 2, "rise is 2");
    }
}

#[test]
fn when_all_fail_all_are_used() {
    let server = serve(503);
    let plane = Plane::start(settings(Static(vec![target(server)]), LONG));
    plane.wait_for_states("unhealthy*");
    assert!(plane.status().fail_open() && plane.snapshot().admits());
    assert_eq!(plane.metric("load_balancer_fail_open"), Some(1.0));
    let series = format!("load_balancer_node_health_status{{node=\"{}\"}}", server.address);
    assert_eq!(plane.metric(&series), Some(0.0));
    server.set_status(200);
    plane.wait_for_states("healthy*");
    wait_for("fail-open's end", || plane.metric("load_balancer_fail_open"), |v| *v == Some(0.0));
    assert_eq!(plane.metric(&series), Some(1.0));
}

#[test]
fn why_a_first_check_has_failed_is_told_before_it_counts() {
    let server = serve(503);
    let mut settings = settings(Static(vec![target(server)]), LONG);
    settings.services[0].health.fall = 100;
    let plane = Plane::start(settings);
    plane.wait_for_states("checking*");
    let targets = plane.get("/targets").1;
    let shown = "\"state\":\"checking\",\"reason\":null,\"checks\":\"failing\",\
                 \"check_failure\":\"GET /ping: status 503\"";
    assert!(targets.contains(shown), "{targets}");
}

#[test]
fn hanging_targets_hold_up_nobody() {
    // One listener that is never accepted from stands for many hanging servers: it has 200
    // addresses, as 127/8 is all local.
    let hanging = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = hanging.local_addr().unwrap().port();
    let mut targets: Vec<_> =
        (1..=200).map(|n| exchange::Target::at(([127, 0, 7, n], port).into())).collect();
    let healthy = serve_at("127.0.8.1:0".parse().unwrap(), 200);
    targets.push(target(healthy));
    let started = Instant::now();
    // Clients wait for no more than 2 s for the first checks of the others.
    let plane = Plane::start(settings(Static(targets), LONG));
    wait_for("the healthy target", || plane.snapshot().eligible().count(), |count| *count == 1);
    assert!(started.elapsed() < LONG, "it had to wait for the others");
    // And goes on being checked.
    wait_for("further checks", || healthy.checks(), |probes| *probes >= 5);
    assert!(started.elapsed() < LONG, "its later checks had to wait for the others");
}

#[test]
fn a_hanging_target_is_probed_by_one_connection_at_a_time() {
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = exchange::Target::at(hanging.local_addr().unwrap());
    let plane = Plane::start(settings(Static(vec![target]), SHORT));
    let mut open = Vec::new();
    for _ in 0..5 {
        let (stream, _) = hanging.accept().unwrap();
        open.retain(|stream| !is_closed(stream));
        open.push(stream);
        assert_eq!(open.len(), 1, "a probe began while another was under way");
    }
    plane.wait_for_states("unhealthy*");
}

/// Whether the other side has closed: its request, then the end, can be read.
fn is_closed(mut stream: &std::net::TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    loop {
        match std::io::Read::read(&mut stream, &mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn probes_ignore_proxies_in_the_environment() {
    // The variables can only be set safely for another process: this test, run again.
    const CHILD: &str = "CONTROL_TEST_PROXY_CHILD";
    if std::env::var_os(CHILD).is_none() {
        let proxy = serve(200);
        let url = format!("http://{}", proxy.address);
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "probes_ignore_proxies_in_the_environment"])
            .env(CHILD, "1")
            .envs(["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"].map(|name| (name, &url)))
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert_eq!(proxy.checks(), 0);
        return;
    }
    let server = serve(200);
    let plane = Plane::start(settings(Static(vec![target(server)]), LONG));
    plane.wait_for_states("healthy*");
    assert!(server.checks() >= 1);
}

#[test]
fn targets_that_hang_delay_no_check_of_one_that_passes() {
    const TIMEOUT: Duration = Duration::from_secs(1);
    let well = serve(200);
    let hanging = serve_at("0.0.0.0:0".parse().unwrap(), 0);
    let port = hanging.address.port();
    // All of these are one server, which is asked over and over.
    let addresses = (1..=30).map(|last| SocketAddr::from(([127, 0, 10, last], port)));
    let targets = addresses.map(exchange::Target::at).chain([target(well)]).collect();
    let settings = Settings { probes_max: 8, ..settings(Static(targets), TIMEOUT) };
    let plane = Plane::start(settings);
    let is_checked = || {
        let snapshot = plane.snapshot();
        let entry = snapshot.entries().iter().find(|it| it.target().address == well.address);
        entry.is_some_and(exchange::Entry::is_eligible)
    };
    wait_for("its turn among all that were never checked", is_checked, |checked| *checked);
    let (before, hung, started) = (well.checks(), hanging.checks(), Instant::now());
    // Checked every 50 ms, give or take a tenth: in turn with the others it would be once in 5 s.
    wait_for("forty checks", || well.checks() - before, |&probes| probes >= 40);
    assert!(started.elapsed() < 8 * TIMEOUT, "{:?}", started.elapsed());
    // Those go on as well, as many at a time as there may be.
    let more = wait_for("six that hang", || hanging.checks() - hung, |&probes| probes >= 6);
    // Six at a time: two slots are kept for those that pass.
    let most = 6 * (started.elapsed().as_secs() + 2);
    assert!(more as u64 <= most, "{more} in {:?}", started.elapsed());
}
