use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::backend::Backend;
use crate::harness::balancer::Balancer;
use crate::harness::http::Client;
use crate::harness::process::cpu_time;

/// Enough to start on one core, and for some clients.
const DESCRIPTORS: u32 = 100;
const CLIENTS: usize = 300;
/// How often it is measured how long service takes to resume.
const RESUMPTIONS: usize = 15;

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

    let (cpu, lines, started) = (cpu_time(balancer.pid()), all_lines(&balancer), Instant::now());
    thread::sleep(Duration::from_secs(3));
    let cpu = cpu_time(balancer.pid()).saturating_sub(cpu);
    let waited = started.elapsed();
    println!("{cpu:?} of CPU time in {waited:?} of waiting");
    assert!(cpu < waited / 100, "{cpu:?} of CPU time in {waited:?} of waiting");
    let lines = f64::from(u32::try_from(all_lines(&balancer) - lines).unwrap());
    assert!(lines <= waited.as_secs_f64(), "{lines} lines in {waited:?}");

    // Whoever waited longest is next; those accepted have been answered already.
    let mut clients: VecDeque<_> = clients.into();
    let accepted = balancer.count("active_connections");
    let mut served: VecDeque<_> =
        (0..accepted).map(|_| answered(clients.pop_front().unwrap())).collect();
    let mut resumptions = Vec::new();
    for _ in 0..RESUMPTIONS {
        let freed = Instant::now();
        drop(served.pop_front());
        served.push_back(answered(clients.pop_front().unwrap()));
        resumptions.push(freed.elapsed());
    }
    resumptions.sort();
    println!("service resumed after {resumptions:?}");
    // Other tests run beside this one: most attempts, not every one.
    assert!(resumptions[RESUMPTIONS / 2] < Duration::from_millis(100), "{resumptions:?}");
    drop(served);

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

/// The client once it has its answer.
fn answered(mut client: Client) -> Client {
    client.receive().unwrap();
    client
}

fn all_lines(balancer: &Balancer) -> usize {
    balancer.log_lines("").len()
}
