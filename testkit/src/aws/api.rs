//! The two APIs that discovery uses.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::form;
use crate::http::Message;

/// The two APIs of AWS that discovery uses, as a small HTTP server. It knows one group and its
/// instances, and misbehaves on demand. It signs, checks and filters nothing.
#[derive(Debug)]
pub struct Aws {
    address: SocketAddr,
    state: Arc<Mutex<AccountState>>,
}

#[derive(Debug)]
struct AccountState {
    instances: Vec<Instance>,
    behaviour: Behaviour,
    /// The most instances in one page.
    page: usize,
    /// The actions that were asked for.
    calls: Vec<String>,
}

/// A running instance.
#[derive(Clone, Debug)]
struct Instance {
    id: String,
    address: String,
    /// None where the group does not list it.
    lifecycle: Option<&'static str>,
    /// Whether EC2 knows it.
    is_known: bool,
}

/// How requests are answered.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// As they should be.
    Good,
    /// With this status and text, whatever was asked; but only `action` where one is given.
    Fixed {
        /// What is asked for.
        action: Option<&'static str>,
        /// The status of the answer.
        status: u16,
        /// The text of the answer.
        body: String,
    },
    /// As they should be, but without the second half; the length says that this is all.
    Cut,
    /// The same, but the length is that of the whole, and the connection is closed.
    Dropped,
    /// Without instances, but well-formed.
    Empty,
    /// Never; the connection stays open.
    Hanging,
    /// As they should be, after so long.
    Slow(Duration),
}

impl Aws {
    /// Starts it, without instances.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = AccountState {
            instances: Vec::new(),
            behaviour: Behaviour::Good,
            page: usize::MAX,
            calls: Vec::new(),
        };
        let aws = Self { address, state: Arc::new(Mutex::new(state)) };
        let state = Arc::clone(&aws.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        aws
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The variables by which a balancer finds it and lets its targets pass.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("ALLOW_LOOPBACK_TARGETS", "true".to_owned()),
            ("NODE_CHECK_PERIOD", "200ms".to_owned()),
            ("NODE_FILTER", "asg".to_owned()),
        ]
    }

    /// The group's instances in service are these now: id and address.
    pub fn set_instances(&self, instances: &[(&str, &str)]) {
        self.lock().instances = instances
            .iter()
            .map(|(id, address)| Instance {
                id: (*id).to_owned(),
                address: (*address).to_owned(),
                lifecycle: Some("InService"),
                is_known: true,
            })
            .collect();
    }

    /// The group says this of an instance from now on.
    pub fn set_lifecycle(&self, id: &str, lifecycle: &'static str) {
        self.change(id, |instance| instance.lifecycle = Some(lifecycle));
    }

    /// The group does not list an instance any more, which EC2 goes on knowing.
    pub fn detach(&self, id: &str) {
        self.change(id, |instance| instance.lifecycle = None);
    }

    /// EC2 does not know an instance any more.
    pub fn hide(&self, id: &str) {
        self.change(id, |instance| instance.is_known = false);
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Instance)) {
        let mut state = self.lock();
        let instance = state.instances.iter_mut().find(|instance| instance.id == id);
        change(instance.expect("it is there"));
    }

    /// From the next request on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// At most so many instances in a page.
    pub fn set_page(&self, page: usize) {
        self.lock().page = page;
    }

    /// How often `action` was asked for.
    pub fn calls(&self, action: &str) -> usize {
        self.lock().calls.iter().filter(|call| *call == action).count()
    }

    fn lock(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(mut stream: &TcpStream, state: &Mutex<AccountState>) {
    while let Ok(Some(Message { body, .. })) = Message::read(stream) {
        let (status, body, length, delay) = {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let action =
                form::value(&body, "Action").expect("every request has an action").to_owned();
            state.calls.push(action.clone());
            let good = answer(&state, &action, &body);
            match state.behaviour.clone() {
                Behaviour::Fixed { action: only, status, body }
                    if only.is_none_or(|only| only == action) =>
                {
                    let length = body.len();
                    (status, body, length, Duration::ZERO)
                }
                Behaviour::Cut => {
                    (200, good[..good.len() / 2].to_owned(), good.len() / 2, Duration::ZERO)
                }
                Behaviour::Dropped => {
                    (200, good[..good.len() / 2].to_owned(), good.len(), Duration::ZERO)
                }
                Behaviour::Slow(delay) => (200, good.clone(), good.len(), delay),
                Behaviour::Hanging => {
                    drop(state);
                    // Until the client gives up.
                    let _ = stream.read(&mut [0]);
                    return;
                }
                _ => (200, good.clone(), good.len(), Duration::ZERO),
            }
        };
        std::thread::sleep(delay);
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
        let whole = body.len() == length;
        if stream.write_all((head + &body).as_bytes()).is_err() || !whole {
            return;
        }
    }
}

fn answer(state: &AccountState, action: &str, form: &str) -> String {
    let is_empty = matches!(state.behaviour, Behaviour::Empty);
    let instances: &[Instance] = if is_empty { &[] } else { &state.instances };
    match action {
        "DescribeAutoScalingGroups" => groups(instances),
        "DescribeInstances" => {
            let by_id = form::value(form, "Filter.1.Name") == Some("instance-id");
            let asked: Vec<_> =
                (1..).map_while(|n| form::value(form, &format!("Filter.1.Value.{n}"))).collect();
            assert!(!asked.is_empty(), "a filter without values: {form}");
            let matching = |one: &&Instance| one.is_known && (!by_id || asked.contains(&&*one.id));
            let matching: Vec<_> = instances.iter().filter(matching).collect();
            let start = form::value(form, "NextToken")
                .map_or(0, |token| token.parse().expect("it is one of ours"));
            page(&matching, start, state.page)
        }
        other => panic!("nobody should ask for {other}"),
    }
}

fn groups(instances: &[Instance]) -> String {
    let mut members = String::new();
    for Instance { id, lifecycle, .. } in instances {
        let Some(lifecycle) = lifecycle else { continue };
        write!(
            members,
            "<member><InstanceId>{id}</InstanceId><LifecycleState>{lifecycle}</LifecycleState>\
             <HealthStatus>Healthy</HealthStatus></member>"
        )
        .expect("a string takes it");
    }
    format!(
        "<DescribeAutoScalingGroupsResponse \
         xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\
         <DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
         <AutoScalingGroupName>worker-nodes</AutoScalingGroupName><Instances>{members}</Instances>\
         </member></AutoScalingGroups></DescribeAutoScalingGroupsResult>\
         </DescribeAutoScalingGroupsResponse>"
    )
}

fn page(instances: &[&Instance], start: usize, size: usize) -> String {
    let end = instances.len().min(start.saturating_add(size));
    let mut items = String::new();
    for Instance { id, address, .. } in &instances[start..end] {
        write!(
            items,
            "<item><instancesSet><item><instanceId>{id}</instanceId>\
             <instanceState><code>16</code><name>running</name></instanceState>\
             <privateIpAddress>{address}</privateIpAddress>\
             <placement><availabilityZone>eu-west-1a</availabilityZone></placement>\
             </item></instancesSet></item>"
        )
        .expect("a string takes it");
    }
    let token =
        if end < instances.len() { format!("<nextToken>{end}</nextToken>") } else { String::new() };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <DescribeInstancesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\
         <requestId>1</requestId><reservationSet>{items}</reservationSet>{token}\
         </DescribeInstancesResponse>"
    )
}
