//! Servers that the AWS SDK asks beside the two APIs.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::http::{Message, exchange};

/// A small HTTP server that notes what it is asked: an endpoint for credentials, or a proxy.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// How a request is answered.
#[derive(Debug)]
pub enum EndpointAnswer {
    /// With this status and text.
    Text(u16, String),
    /// Not at all; the connection stays open.
    Nothing,
    /// As the server at this address answers.
    From(SocketAddr),
}

impl Endpoint {
    /// Starts one that answers as `answer` says, given method and target of a request.
    pub fn start(answer: impl Fn(&str) -> EndpointAnswer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (notes, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &notes, &*answer));
            }
        });
        Self { address, asked }
    }

    /// The URL of `path` on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far: method and target of each.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

fn lock(asked: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    mut stream: &TcpStream,
    asked: &Mutex<Vec<String>>,
    answer: &dyn Fn(&str) -> EndpointAnswer,
) {
    while let Ok(Some(request)) = Message::read(stream) {
        let what = request.start.rsplit_once(' ').map_or(&*request.start, |(what, _)| what);
        lock(asked).push(what.to_owned());
        let sent = match answer(what) {
            EndpointAnswer::Text(status, body) => {
                let mut answer = Message::answer(status, body);
                answer.headers = vec!["X-aws-ec2-metadata-token-ttl-seconds: 60".to_owned()];
                answer.write(stream)
            }
            EndpointAnswer::Nothing => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
                return;
            }
            // As a proxy passes it on, but for the target, which servers take in either form.
            EndpointAnswer::From(upstream) => {
                exchange(upstream, &request).and_then(|answer| answer.write(stream))
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
