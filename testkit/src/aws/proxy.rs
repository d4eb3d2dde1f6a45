//! Faults between a balancer and moto.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use super::form;
use crate::http::{Message, exchange};
use crate::net::port::Port;

/// Stands before moto and makes faults.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    upstream: SocketAddr,
    state: Arc<Mutex<ProxyState>>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct ProxyState {
    fault: Fault,
    /// The most instances in one page; 0 leaves it to who asks.
    page: usize,
    /// What a member's lifecycle state is said to be: its id and the state.
    lifecycle: Option<(String, String)>,
    /// A member in service that EC2 does not know.
    dead: Option<String>,
    /// The actions asked for.
    actions: Vec<String>,
    closed: bool,
}

/// What is wrong with AWS.
#[derive(Clone, Debug, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// What asks for `action` gets this; anything, where it is empty.
    Answer {
        /// What is asked for.
        action: &'static str,
        /// The status of the answer.
        status: u16,
        /// The text of the answer.
        body: String,
    },
    /// Half of the text, whose length is told as if it were the whole.
    Truncated,
    /// As much of the text, but the connection ends within it.
    Broken,
    /// No answer; the connection stays open.
    Hanging,
}

impl Proxy {
    /// Starts one before the server at `upstream`.
    pub fn start(upstream: SocketAddr) -> Self {
        let mut proxy =
            Self { port: Port::free(), upstream, state: Arc::default(), accepting: None };
        proxy.open();
        proxy
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.port.local()
    }

    /// From the next request on.
    pub fn set_fault(&self, fault: Fault) {
        self.lock().fault = fault;
    }

    /// At most so many instances in a page from now on.
    pub fn set_page(&self, page: usize) {
        self.lock().page = page;
    }

    /// The member `id` is said to be in that state.
    pub fn set_lifecycle(&self, id: &str, lifecycle: &str) {
        self.lock().lifecycle = Some((id.to_owned(), lifecycle.to_owned()));
    }

    /// The group is said to have a member `id` in service, too, of which EC2 knows nothing.
    pub fn set_dead(&self, id: &str) {
        self.lock().dead = Some(id.to_owned());
    }

    /// How often `action` was asked for.
    pub fn asked(&self, action: &str) -> usize {
        self.lock().actions.iter().filter(|asked| *asked == action).count()
    }

    /// Refuses connections from now on; those there are end with the next request.
    pub fn close(&mut self) {
        self.lock().closed = true;
        // Ends the wait for the next connection.
        drop(TcpStream::connect(self.address()));
        self.accepting.take().unwrap().join().unwrap();
    }

    /// Accepts connections again.
    pub fn open(&mut self) {
        self.lock().closed = false;
        let listener = TcpListener::bind(self.address()).unwrap();
        let (state, upstream) = (Arc::clone(&self.state), self.upstream);
        self.accepting = Some(thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.lock().unwrap().closed {
                    return;
                }
                let state = Arc::clone(&state);
                // A client that broke off is no news.
                thread::spawn(move || drop(serve(&stream, &state, upstream)));
            }
        }));
    }

    fn lock(&self) -> MutexGuard<'_, ProxyState> {
        self.state.lock().unwrap()
    }
}

fn serve(
    mut stream: &TcpStream,
    state: &Mutex<ProxyState>,
    upstream: SocketAddr,
) -> io::Result<()> {
    while let Some(mut request) = Message::read(stream)? {
        let action = form::value(&request.body, "Action").unwrap_or_default().to_owned();
        let (fault, page, lifecycle, dead) = {
            let mut state = state.lock().unwrap();
            if state.closed {
                return Ok(());
            }
            state.actions.push(action.clone());
            (state.fault.clone(), state.page, state.lifecycle.clone(), state.dead.clone())
        };
        if page != 0 && action == "DescribeInstances" {
            request.body = form::with(&request.body, "MaxResults", &page.to_string());
        }
        match fault {
            Fault::Answer { action: only, status, body } if only.is_empty() || only == action => {
                Message::answer(status, body).write(stream)?;
            }
            Fault::Hanging => {
                // Until the client gives up.
                let _ = stream.read(&mut [0])?;
                return Ok(());
            }
            Fault::Truncated => {
                let mut answer = exchange(upstream, &request)?;
                answer.body.truncate(answer.body.len() / 2);
                answer.write(stream)?;
            }
            Fault::Broken => {
                let answer = exchange(upstream, &request)?;
                let mut bytes = Vec::new();
                answer.write(&mut bytes)?;
                return stream.write_all(&bytes[..bytes.len() - answer.body.len() / 2]);
            }
            Fault::None | Fault::Answer { .. } => {
                let mut answer = exchange(upstream, &request)?;
                if let Some((id, lifecycle)) = &lifecycle {
                    answer.body = with_lifecycle(&answer.body, id, lifecycle);
                }
                if let Some(id) = &dead {
                    answer.body = with_dead(&answer.body, id);
                }
                answer.headers.retain(|line| !line.starts_with("Connection:"));
                answer.write(stream)?;
            }
        }
    }
    Ok(())
}

/// `xml` with another state of the member `id`, if that is in it.
fn with_lifecycle(xml: &str, id: &str, lifecycle: &str) -> String {
    let Some((before, rest)) = xml.split_once(&format!("<InstanceId>{id}</InstanceId>")) else {
        return xml.to_owned();
    };
    let (member, after) = rest.split_once("</member>").unwrap();
    let Some((head, tail)) = member.split_once("<LifecycleState>") else { return xml.to_owned() };
    let (_, tail) = tail.split_once('<').unwrap();
    format!(
        "{before}<InstanceId>{id}</InstanceId>{head}<LifecycleState>{lifecycle}<{tail}</member>\
         {after}"
    )
}

/// `xml` with a member `id` in service, if a group with members is in it.
fn with_dead(xml: &str, id: &str) -> String {
    let member = format!(
        "<Instances><member><InstanceId>{id}</InstanceId>\
         <LifecycleState>InService</LifecycleState></member>"
    );
    xml.replacen("<Instances>", &member, 1)
}
