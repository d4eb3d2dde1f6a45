use std::sync::Arc;

use super::Status;

/// What operators are told of every service, in the order of their ports' configuration. Never changed
/// once made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses(Vec<ServiceStatus>);

/// What they are told of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// The port that clients connect to, which is what it is called; `None` where it is the only one.
    pub port: Option<u16>,
    /// How its targets are.
    pub status: Arc<Status>,
}

impl ServiceStatus {
    /// What a line about it begins with; nothing where it is the only one.
    pub fn prefix(&self) -> String {
        self.port.map_or_else(String::new, |port| format!("service {port}: "))
    }
}

impl Statuses {
    /// Of services called so, before anything is known.
    pub(crate) fn unknown(ports: impl Iterator<Item = Option<u16>>) -> Self {
        Self::of(ports.map(|port| ServiceStatus { port, status: Arc::default() }).collect())
    }

    /// Of these services.
    pub fn of(services: Vec<ServiceStatus>) -> Self {
        Self(services)
    }

    /// Every service.
    pub fn services(&self) -> &[ServiceStatus] {
        &self.0
    }

    /// How the targets of each service are.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Status>> {
        self.0.iter().map(|service| &service.status)
    }

    /// Whether clients are let in to every service, as far as it has targets that may get them: who is
    /// sent here need not wait.
    pub fn are_ready(&self) -> bool {
        self.iter().all(|status| status.admits())
            && self.iter().any(|status| status.eligible().next().is_some())
    }
}
