use std::sync::Arc;

use exchange::{ServiceIndex, Target, TargetId};
use tokio::sync::mpsc;

use super::affinity::{self, Tables};
use super::event::Event;
use crate::log_lines;
use crate::policy::identity::Identity;
use crate::policy::{Roster, address_in};
use crate::status::{ServiceStatus, Status};

/// One service: its targets, and what is decided about them.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) index: ServiceIndex,
    /// What it is called: where clients connect; `None` where it is the only one.
    pub(crate) port: Option<u16>,
    /// Where its targets serve; `None`: each has a port of its own.
    pub(crate) target_port: Option<u16>,
    pub(crate) roster: Roster,
    /// Where clients keep their targets.
    pub(crate) tables: Option<Tables>,
    /// What was published last.
    pub(crate) status: Arc<Status>,
}

impl Service {
    /// What discovery has found, as this service's targets.
    pub(crate) fn targets(&self, found: &[Target]) -> Vec<Target> {
        found.iter().map(|target| self.target(target.clone())).collect()
    }

    fn target(&self, target: Target) -> Target {
        match self.target_port {
            Some(port) => target.at_port(port),
            None => target,
        }
    }

    /// This service's target that is another service's, too.
    pub(crate) fn own(&self, mut target: Identity) -> Identity {
        if let Some(port) = self.target_port {
            target.address.set_port(port);
        }
        target
    }

    /// Has the affinity table follow the targets that clients are led to, or are about to be.
    pub(crate) fn map(&mut self, events: &mpsc::Sender<Event>) {
        let Some(tables) = &mut self.tables else { return };
        if let Some(targets) = tables.next(self.roster.to_be_mapped()) {
            affinity::build(self.index, targets, events.clone());
        }
    }

    /// What the log says of a status that follows the one published last.
    pub(crate) fn changes(&self, after: &Status) -> Vec<(log::Level, String)> {
        let lines = log_lines::changes(&self.status, after).into_iter();
        let prefix = self.named_status().prefix();
        lines.map(|(level, line)| (level, format!("{prefix}{line}"))).collect()
    }

    /// What was published last, and of which service.
    pub(crate) fn named_status(&self) -> ServiceStatus {
        ServiceStatus { port: self.port, status: Arc::clone(&self.status) }
    }

    /// What operators call this service's target, who may have said where it serves for another.
    pub(crate) fn called(&self, name: &TargetId) -> TargetId {
        match (self.target_port, address_in(name)) {
            (Some(port), Some(mut address)) => {
                address.set_port(port);
                TargetId::new(&address.to_string())
            }
            _ => name.clone(),
        }
    }
}
