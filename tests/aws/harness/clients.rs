use std::collections::BTreeMap;
use std::io::{self, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::PATIENCE;
use super::balancer::Balancer;
use super::fleet::Instance;
use super::message::Message;

/// Time between two connections of [`Clients`].
const PAUSE: Duration = Duration::from_millis(4);

/// A client's connection, kept alive.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Connects through `balancer`, and says which of `instances` it got.
    pub(crate) fn of<'a>(balancer: &Balancer, instances: &'a [Instance]) -> (Self, &'a Instance) {
        let mut client = Self::connect(balancer.address()).unwrap();
        let address = client.ask().unwrap();
        let instance = instances.iter().find(|instance| instance.address == address);
        (client, instance.expect("it is one of the fleet"))
    }

    /// Asks; the answer is the target's address.
    pub(crate) fn ask(&mut self) -> io::Result<String> {
        let headers = vec!["Host: test".to_owned()];
        let request = Message { start: "GET / HTTP/1.1".to_owned(), headers, ..Message::default() };
        request.write(self.0.get_ref())?;
        let answer = Message::read(&mut self.0)?.ok_or(ErrorKind::UnexpectedEof)?;
        Ok(answer.body)
    }
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
                let answer = Client::connect(address).and_then(|mut client| client.ask());
                let mut seen = theirs.lock().unwrap();
                match answer {
                    Ok(target) => *seen.answers.entry(target).or_default() += 1,
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
        super::wait_until("clients are served", || {
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
