use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use control::policy::Identity;
use control::status::{Status, TargetStatus};
use dataplane::policy::{Choice, Chooser, LocalTarget, Targets, Tried};
use exchange::{ClientKey, Report};

use crate::invariants::Connects;
use crate::rules::Setting;

/// One core of the balancer: the policy as a worker drives it, and what is known from outside.
#[derive(Debug)]
pub(crate) struct Core {
    targets: Targets,
    chooser: Chooser,
    /// What it goes by.
    status: Arc<Status>,
    /// What it has not picked up yet.
    pending: Option<Arc<Status>>,
    connects: Connects,
    /// The clients that wait until clients are let in.
    waiting: Vec<u64>,
    /// When the last of its reports arrives: they stay in order.
    pub(crate) reported_at: Instant,
}

/// Why a client is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    NoTarget,
    BudgetSpent,
}

/// A client between its arrival and its end.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) core: usize,
    key: Option<ClientKey>,
    tried: Tried,
    /// The one that is being connected or was reached.
    target: Option<Rc<LocalTarget>>,
    is_connected: bool,
}

impl Client {
    /// One that keeps its target if it has a key.
    pub(crate) fn new(core: usize, key: Option<ClientKey>) -> Self {
        Self { core, key, tried: Tried::default(), target: None, is_connected: false }
    }

    /// The one that is being connected or was reached.
    pub(crate) fn target(&self) -> Option<&exchange::Target> {
        self.target.as_ref().map(|target| target.target())
    }

    /// Its connection is over.
    pub(crate) fn close(self) {
        if let Some(target) = self.target {
            target.load().closed();
            target.load().ended(true);
        }
    }

    /// Whether it has reached a target.
    pub(crate) fn is_connected(&self) -> bool {
        self.is_connected
    }
}

impl Core {
    pub(crate) fn new(number: usize, setting: &Setting, now: Instant, seed: u64) -> Self {
        let Setting { balance, connect_attempts, cores, .. } = *setting;
        let rng = fastrand::Rng::with_seed(seed);
        Self {
            targets: Targets::new(number, cores),
            chooser: Chooser::new(balance, connect_attempts, cores, rng, now),
            status: Arc::default(),
            pending: None,
            connects: Connects::new(cores, connect_attempts),
            waiting: Vec::new(),
            reported_at: now,
        }
    }

    /// A newer snapshot lies ready, with what operators are told of it; whether none did before.
    pub(crate) fn publish(&mut self, status: &Arc<Status>) -> bool {
        self.pending.replace(Arc::clone(status)).is_none()
    }

    pub(crate) fn pick_up(&mut self) {
        if let Some(status) = self.pending.take() {
            self.targets.update(status.snapshot());
            self.status = status;
        }
    }

    /// Whether `client` is not to be connected for now; [`Self::take_waiting`] says when it is.
    pub(crate) fn holds(&mut self, client: u64) -> bool {
        let waits = !self.targets.admits();
        if waits {
            self.waiting.push(client);
        }
        waits
    }

    /// Those that have waited for long enough.
    pub(crate) fn take_waiting(&mut self) -> Vec<u64> {
        if self.targets.admits() { std::mem::take(&mut self.waiting) } else { Vec::new() }
    }

    /// Whether any connections are to be reset.
    pub(crate) fn has_resets(&self) -> bool {
        self.status.targets().iter().any(TargetStatus::is_reset)
    }

    /// Whether the client's connection is.
    pub(crate) fn resets(&self, client: &Client) -> bool {
        let entry = client.target.as_ref().and_then(|target| find(&self.status, target));
        entry.is_some_and(TargetStatus::is_reset)
    }

    /// Chooses what is connected next for the client, if anything is.
    pub(crate) fn connect(
        &mut self,
        client: &mut Client,
        now: Instant,
    ) -> Result<&TargetStatus, Dropped> {
        if client.tried.targets().is_empty() {
            self.connects.arrived(now);
        }
        self.targets.read_other_cores(now);
        let choice = self.chooser.choose(&self.targets, client.key, &client.tried, now);
        self.connects.assert_choice(&choice, &client.tried, &self.status, now);
        let target = match choice {
            Choice::Connect(target) => target,
            Choice::NoTarget => return Err(Dropped::NoTarget),
            Choice::BudgetSpent => return Err(Dropped::BudgetSpent),
        };
        target.load().opened();
        let target = client.target.insert(target);
        Ok(find(&self.status, target).expect("checked already"))
    }

    /// The client's connect is over; `reached` is none if the client has left.
    pub(crate) fn end_connect(
        &mut self,
        client: &mut Client,
        reached: Option<bool>,
    ) -> Option<Report> {
        let target = client.target.clone().expect("a connect has a target");
        self.connects.ended(&target, reached);
        let report = match reached {
            Some(true) => {
                target.reached();
                None
            }
            Some(false) => Some(target.failed(ErrorKind::ConnectionRefused)),
            None => None,
        };
        client.is_connected = reached == Some(true);
        if !client.is_connected {
            target.load().closed();
            client.target = None;
            client.tried.add(target);
        }
        report
    }
}

/// What a status says of a target.
pub(crate) fn find<'a>(status: &'a Status, target: &LocalTarget) -> Option<&'a TargetStatus> {
    let identity = Identity::of(target.target());
    status.targets().iter().find(|entry| Identity::of(entry.target()) == identity)
}
