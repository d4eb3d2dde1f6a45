//! Where clients go: the latest snapshot, and the choice among its targets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Instant;

use exchange::{ServiceIndex, Subscriber};

use crate::flow::{AbortReason, Key};
use crate::selection::balance::Balance;
use crate::selection::choice::{Choice, Chooser, Tried};
use crate::selection::local_target::LocalTarget;
use crate::selection::targets::Targets;
use crate::settings::Settings;
use crate::worker::core::Core;

/// Decides where each client of a service goes, and who is to wait for a decision.
pub(in crate::worker) struct Router {
    service: ServiceIndex,
    subscriber: Subscriber,
    targets: Targets,
    chooser: Chooser,
    balance: Balance,
    /// Clients whose sessions want to connect while clients are to wait.
    waiting: VecDeque<Key>,
}

/// Where a client goes, as decided before its session asks: where no header is expected, before
/// there is one.
#[derive(Debug)]
pub(in crate::worker) enum Placement {
    /// On a connection that waits for a client.
    Preconnected(Key),
    /// On one that is to be made.
    Connect(Choice),
    /// Nothing is decided before it is known which targets can serve.
    Wait,
}

/// What the connect that a session asks for leads to.
#[derive(Debug)]
pub(in crate::worker) enum NextHop {
    Target(Rc<LocalTarget>),
    /// There is none that may be tried.
    None,
    /// The session is told later.
    Later,
}

impl Router {
    pub(in crate::worker) fn new(
        service: ServiceIndex,
        settings: &Settings,
        core: &Core,
        subscriber: Subscriber,
    ) -> Self {
        let (number, cores) = (core.number(), core.counters.len());
        let balance = settings.services[service.place()].balance;
        let targets = Targets::new(number, cores).for_service(service);
        Self {
            service,
            subscriber,
            targets: targets.with_pools(settings.pool_size),
            chooser: Chooser::new(
                balance,
                settings.connect_attempts,
                cores,
                fastrand::Rng::new(),
                core.now,
            ),
            balance,
            waiting: VecDeque::new(),
        }
    }

    /// Whether where clients go depends on who they are.
    pub(in crate::worker) fn needs_address(&self) -> bool {
        self.balance == Balance::Maglev
    }

    /// What wakes the core for a snapshot.
    pub(in crate::worker) fn waker(&self) -> BorrowedFd<'_> {
        self.subscriber.waker().as_fd()
    }

    /// Whether clients need not wait.
    pub(in crate::worker) fn admits(&self) -> bool {
        self.targets.admits()
    }

    /// Since when connections make room for targets that have joined, if they do.
    pub(in crate::worker) fn rebalanced_since(&self) -> Option<Instant> {
        self.targets.rebalanced_since()
    }

    /// Takes over what is new of the targets: whether anything is.
    pub(in crate::worker) fn take_snapshot(&mut self) -> bool {
        let latest = self.subscriber.latest();
        if let Some(snapshot) = &latest {
            self.targets.update(snapshot);
        }
        latest.is_some()
    }

    /// Reads what the other cores have open, where that matters and if it was not done just now.
    pub(in crate::worker) fn read_other_cores(&mut self, now: Instant) {
        if self.balance.heeds_load() {
            self.targets.read_other_cores(now);
        }
    }

    /// What a client that has just been let in is to be connected to; `None` if it is to wait.
    pub(in crate::worker) fn choose(
        &mut self,
        client: Option<SocketAddr>,
        now: Instant,
    ) -> Option<Choice> {
        if !self.admits() {
            return None;
        }
        let client = self.balance.client_key(client);
        Some(self.chooser.choose(&self.targets, client, &Tried::default(), now))
    }

    /// Where the connect goes that the session of this connection asks for.
    pub(in crate::worker) fn next_hop(&mut self, core: &mut Core, key: Key) -> NextHop {
        let Core { connections, now, .. } = core;
        let Some(connection) = connections.get_mut(key) else { return NextHop::None };
        if let Some(target) = connection.upstream.preconnected_target() {
            return NextHop::Target(Rc::clone(target));
        }
        let choice = match connection.upstream.take_choice() {
            Some(choice) => choice,
            None if self.chooser.is_spent(connection.upstream.tried()) => Choice::NoTarget,
            None if !self.admits() => {
                self.waiting.push_back(key);
                return NextHop::Later;
            }
            None => {
                let client = self.balance.client_key(connection.client_address());
                self.chooser.choose(&self.targets, client, connection.upstream.tried(), *now)
            }
        };
        match choice {
            Choice::Connect(target) => NextHop::Target(target),
            Choice::NoTarget => NextHop::None,
            Choice::BudgetSpent => {
                core.count(self.service).connects.retry_budget_exhausted.increment();
                NextHop::None
            }
        }
    }

    /// Takes out those who were to wait, if they are not any more.
    pub(in crate::worker) fn take_waiting(&mut self) -> VecDeque<Key> {
        if self.admits() { std::mem::take(&mut self.waiting) } else { VecDeque::new() }
    }

    /// One that waits has left: whether it did wait.
    pub(in crate::worker) fn forget_waiting(&mut self, key: Key) -> bool {
        let index = self.waiting.iter().position(|&waiting| waiting == key);
        index.and_then(|index| self.waiting.remove(index)).is_some()
    }

    /// Connections of the service to targets of which none is to be kept, and why. Looks at every connection: that
    /// is rare.
    pub(in crate::worker) fn connections_to_reset(
        &self,
        core: &mut Core,
    ) -> Vec<(Key, AbortReason)> {
        if !self.targets.has_connections_to_reset() {
            return Vec::new();
        }
        let keys = core.connections.keys().into_iter();
        let reset = |key| {
            let connection = core.connection(key).filter(|it| it.service() == self.service)?;
            let reason = connection.upstream.target()?.status().reset()?;
            Some((key, reason))
        };
        keys.filter_map(reset).collect()
    }
}
