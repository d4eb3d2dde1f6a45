use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A small HTTP server that notes what it is asked: an endpoint for credentials, or a proxy.
pub(crate) struct Endpoint {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// How a request is answered.
pub(crate) enum Answer {
    /// With this status and text.
    Text(u16, String),
    /// Not at all; the connection stays open.
    Nothing,
    /// As the server at this address answers.
    From(SocketAddr),
}

impl Endpoint {
    /// Starts one that answers as `answer` says, given method and target of a request.
    pub(crate) fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let (notes, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &notes, &*answer));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far: method and target of each.
    pub(crate) fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

fn lock(asked: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) {
    let mut stream = BufReader::new(stream);
    while let Some((line, request)) = read_request(&mut stream) {
        let what = line.rsplit_once(' ').map_or(line.as_str(), |(what, _)| what).to_owned();
        lock(asked).push(what.clone());
        let sent = match answer(&what) {
            Answer::Text(status, body) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\
                     X-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
                );
                stream.get_mut().write_all((head + &body).as_bytes())
            }
            Answer::Nothing => {
                // Until the client gives up.
                let _ = stream.read(&mut [0]);
                return;
            }
            Answer::From(upstream) => {
                // As a proxy passes it on, but for the target, which servers take in either form.
                let relayed = TcpStream::connect(upstream).and_then(|mut upstream| {
                    upstream.set_read_timeout(Some(Duration::from_secs(5)))?;
                    upstream.write_all(&request)?;
                    let mut answer = vec![0; 64 << 10];
                    let length = upstream.read(&mut answer)?;
                    answer.truncate(length);
                    Ok(answer)
                });
                relayed.and_then(|answer| stream.get_mut().write_all(&answer))
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The first line of a request, and all of it.
fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut first, mut request, mut length) = (String::new(), Vec::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        request.extend(line.as_bytes());
        let line = line.trim_end();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
        if first.is_empty() {
            line.clone_into(&mut first);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    request.extend(body);
    Some((first, request))
}
