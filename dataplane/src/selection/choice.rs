use std::rc::Rc;
use std::time::Instant;

use exchange::ClientKey;

use crate::selection::balance::{Balance, Balancer};
use crate::selection::local_target::{LastConnect, LocalTarget};
use crate::selection::retry_budget::RetryBudget;
use crate::selection::targets::Targets;

/// One core's decision where each connect of each client goes.
#[derive(Debug)]
pub struct Chooser {
    balancer: Balancer,
    budget: RetryBudget,
    connect_attempts: usize,
}

/// What is to be tried next for a client.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This target.
    Connect(Rc<LocalTarget>),
    /// None: all were tried, or as many as may be.
    NoTarget,
    /// None: there have been too many retries lately, and what is left failed when last connected.
    BudgetSpent,
}

/// The targets that were tried in vain for one client.
#[derive(Debug, Default)]
pub struct Tried {
    targets: Vec<Rc<LocalTarget>>,
    /// Those of them that do not count as attempts.
    uncounted: usize,
}

impl Tried {
    /// Adds one.
    pub fn add(&mut self, target: Rc<LocalTarget>) {
        self.targets.push(target);
    }

    /// Adds one that was not connected after all, for want of a local port.
    pub fn skip(&mut self, target: Rc<LocalTarget>) {
        self.targets.push(target);
        self.uncounted += 1;
    }

    /// Adds one whose connect was revoked.
    pub fn add_revoked(&mut self, target: Rc<LocalTarget>) {
        self.targets.push(target);
        self.uncounted += 1;
    }

    /// All of them.
    pub fn targets(&self) -> &[Rc<LocalTarget>] {
        &self.targets
    }

    /// How many connects count: one that was revoked might have succeeded.
    pub fn attempts(&self) -> usize {
        self.targets.len() - self.uncounted
    }
}

impl Chooser {
    /// For one of `cores` cores; at most `connect_attempts` targets are tried for a client.
    pub fn new(
        balance: Balance,
        connect_attempts: usize,
        cores: usize,
        rng: fastrand::Rng,
        now: Instant,
    ) -> Self {
        Self {
            balancer: Balancer::new(balance, rng),
            budget: RetryBudget::new(cores, now),
            connect_attempts,
        }
    }

    /// Whether as many targets were tried for a client as may be.
    pub fn is_spent(&self, tried: &Tried) -> bool {
        tried.attempts() >= self.connect_attempts
    }

    /// What to connect for a client for whom all of `tried` were tried in vain. A `client` that is
    /// given keeps its target: its own comes first, then those that it prefers.
    pub fn choose(
        &mut self,
        targets: &Targets,
        client: Option<ClientKey>,
        tried: &Tried,
        now: Instant,
    ) -> Choice {
        if tried.targets.is_empty() {
            self.budget.deposit(now);
        }
        if self.is_spent(tried) {
            return Choice::NoTarget;
        }
        let picked = match client {
            Some(client) => targets.of_client(client, &tried.targets),
            None => self.balancer.pick(targets, &tried.targets, now),
        };
        let Some(target) = picked else { return Choice::NoTarget };
        // What was reached last time, or is not known yet, is free: a target that is down is found
        // out by the first connect that ends.
        let is_free = tried.attempts() == 0 || target.last_connect() != LastConnect::Failed;
        if is_free || self.budget.withdraw(now) {
            Choice::Connect(target)
        } else {
            Choice::BudgetSpent
        }
    }
}

#[cfg(test)]
mod tests;
