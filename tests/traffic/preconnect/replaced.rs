use std::io::Read;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{bring_clients_until, far_address, namespaces};
use crate::eligibility::target_file::{NAME, start_with};
use testkit::backend::{HealthServer, Server};
use testkit::balancer::Balancer;
use testkit::http::Message;
use testkit::scratch::Scratch;
use testkit::wait::wait_for;

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Open,
    /// A byte came.
    Asked,
    /// Its stream ended without a byte, at this time.
    Unused(Instant),
}

/// Every connection of a target, in the order in which they came.
type Uses = Arc<Mutex<Vec<Use>>>;

fn serve(uses: &Uses, mut stream: &TcpStream) {
    let index = {
        let mut uses = uses.lock().unwrap();
        uses.push(Use::Open);
        uses.len() - 1
    };
    let note = |what| uses.lock().unwrap()[index] = what;
    match stream.peek(&mut [0]) {
        Ok(1..) => note(Use::Asked),
        _ => note(Use::Unused(Instant::now())),
    }
    while let Ok(Some(_)) = Message::read(stream) {
        if Message::answer(200, "x").write(stream).is_err() {
            return;
        }
    }
    // Nothing comes after the end of a stream.
    let _ = stream.read(&mut [0]);
}

#[test]
fn not_a_byte_goes_to_another_instance_at_the_same_address_over_an_old_connection() {
    let Some(namespaces) = namespaces() else { return };
    let uses = Uses::default();
    let _server = namespaces.far(|| {
        let uses = Arc::clone(&uses);
        let server = Server::start(far_address(), move |stream| serve(&uses, stream));
        (server, HealthServer::start_for(far_address()))
    });
    let scratch = Scratch::new();
    let is = |id: &str| {
        let group = json!([{ "targets": [far_address()], "labels": { "id": id } }]);
        scratch.replace(NAME, &group.to_string());
    };
    is("i-1");
    namespaces.near(|| {
        // What is waiting for clients is all that there is.
        let balancer = start_with(&scratch, &[("NODE_CHECK_PERIOD", "20ms")]);
        for id in ["i-2", "i-3", "i-4"] {
            let hits = balancer.count("pool_hits_total");
            bring_clients_until(&balancer, hits + 50, || drop(balancer.get("/")));
            let waiting = || balancer.count("pool_size");
            wait_for("some to wait", || (drop(balancer.get("/")), waiting()).1, |it| *it > 0);
            let before: Vec<usize> = unused(&uses);

            is(id);
            let is_new = |ids: &Vec<String>| ids.iter().any(|it| it == id);
            wait_for("another instance", || ids(&balancer, "healthy"), is_new);
            let known = Instant::now();
            let new_from = uses.lock().unwrap().len();
            (0..20).for_each(|_| drop(balancer.get("/")));

            let uses = wait_for(
                "the old ones to end",
                || uses.lock().unwrap().clone(),
                |uses| before.iter().all(|&index| uses[index] != Use::Open),
            );
            for index in before {
                let Use::Unused(ended) = uses[index] else {
                    panic!("{index} of {new_from} was used: {:?}", uses[index]);
                };
                let late = ended.saturating_duration_since(known);
                assert!(late < Duration::from_millis(200), "{index} ended {late:?} too late");
            }
        }
    });
}

/// The connections that nothing came over.
fn unused(uses: &Uses) -> Vec<usize> {
    let uses = uses.lock().unwrap();
    (0..uses.len()).filter(|&index| uses[index] == Use::Open).collect()
}

fn ids(balancer: &Balancer, state: &str) -> Vec<String> {
    let targets = balancer.targets().into_iter().filter(|target| target["state"] == state);
    targets.filter_map(|target| target["id"].as_str().map(str::to_owned)).collect()
}
