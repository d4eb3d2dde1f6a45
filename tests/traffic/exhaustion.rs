use std::thread;
use std::time::{Duration, Instant};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::http::Client;
use crate::harness::process::cpu_ticks;

/// Enough to start on one core, and for some clients.
const DESCRIPTORS: u32 = 100;
const CLIENTS: usize = 200;

#[test]
fn without_descriptors_clients_wait_until_there_are_some() {
    let backend = Backend::start();
    let environment = [("CORES", "1"), ("HEALTH_CHECK_PERIOD", "1h")];
    let balancer = Balancer::spawn_with_descriptors(DESCRIPTORS, &[backend.address], &environment);
    balancer.wait_until_ready();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| balancer.client()).collect();
    for client in &mut clients {
        client.send("/").unwrap();
    }
    balancer.wait_for_count("accept_paused", 1);

    let (ticks, lines, started) = (cpu_ticks(balancer.pid()), all_lines(&balancer), Instant::now());
    thread::sleep(Duration::from_secs(2));
    let seconds = started.elapsed().as_secs_f64();
    let share = f64::from(u32::try_from(cpu_ticks(balancer.pid()) - ticks).unwrap()) / 100.0;
    assert!(share / seconds < 0.2, "{share} s of CPU time in {seconds} s of waiting");
    let lines = f64::from(u32::try_from(all_lines(&balancer) - lines).unwrap());
    assert!(lines <= seconds.ceil() + 1.0, "{lines} lines in {seconds} s");

    // Each client that is served makes room for the next.
    for mut client in clients {
        assert_eq!(client.receive().unwrap().1, backend.address.to_string().as_bytes());
    }
    balancer.wait_for_count("active_connections", 0);
    balancer.wait_for_count("accept_paused", 0);
    balancer.wait_for_log("accepting again");
    assert_eq!(balancer.log_lines("accepting pauses").len(), 1);
    assert_eq!(balancer.count("failed_connections_total"), 0);
    assert_eq!(usize::try_from(balancer.count("successful_connections_total")).unwrap(), CLIENTS);
    assert_eq!(balancer.get("/"), backend.address.to_string());
}

fn all_lines(balancer: &Balancer) -> usize {
    balancer.log_lines("").len()
}
