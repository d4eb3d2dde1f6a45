use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::fleet::Instance;
use testkit::balancer::Balancer;
use testkit::http;
use testkit::http::Client;
use testkit::wait::wait_until;

/// Time between two connections of [`Clients`].
const PAUSE: Duration = Duration::from_millis(4);

/// A client of `balancer`, and which of `instances` it got.
pub(crate) fn connect<'a>(
    balancer: &Balancer,
    instances: &'a [Instance],
) -> (Client, &'a Instance) {
    let mut client = balancer.client();
    let address = client.get("/").unwrap().body;
    let instance = instances.iter().find(|instance| instance.address == address);
    (client, instance.expect("it is one of the fleet"))
}

/// Clients one after the other, each with a connection and a request, until this is dropped.
///
/// # Panics
/// When dropped, if one of them got no answer.
pub(crate) struct Clients {
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// Answers by target, since they were last forgotten.
    answers: BTreeMap<String, usize>,
    errors: Vec<io::Error>,
}

impl Clients {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let (seen, ended) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (theirs, over) = (Arc::clone(&seen), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let answer = http::get(address, "/");
                let mut seen = theirs.lock().unwrap();
                match answer {
                    Ok(target) => *seen.answers.entry(target.body).or_default() += 1,
                    Err(error) => seen.errors.push(error),
                }
                drop(seen);
                thread::sleep(PAUSE);
            }
        });
        Self { seen, ended, thread: Some(thread) }
    }

    /// The targets seen since they were last forgotten.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.seen.lock().unwrap().answers.keys().cloned().collect()
    }

    /// The targets of the next `count` clients.
    pub(crate) fn next_targets(&self, count: usize) -> Vec<String> {
        self.forget();
        wait_until("clients are served", || {
            self.seen.lock().unwrap().answers.values().sum::<usize>() > count
        });
        self.targets()
    }

    /// Forgets what was seen. One client may be under way.
    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap().answers.clear();
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap();
            let seen = self.seen.lock().unwrap();
            assert!(seen.errors.is_empty(), "clients got {:?}", seen.errors);
        }
    }
}
