use exchange::ServiceIndex;

use super::service::Service;
use crate::health::prober::Prober;

/// Services whose targets are checked at once: an instance that passes is well for all of them.
#[derive(Debug)]
pub(crate) struct CheckGroup {
    prober: Prober,
    /// Not empty.
    services: Vec<ServiceIndex>,
}

impl CheckGroup {
    /// `prober` checks the targets of these services.
    pub(crate) fn new(prober: Prober, services: Vec<ServiceIndex>) -> Self {
        Self { prober, services }
    }

    /// Whom a check is for.
    pub(crate) fn services(&self) -> &[ServiceIndex] {
        &self.services
    }

    /// Checks the targets that there are now. All its services have the same instances: they are
    /// checked as the first one's.
    pub(crate) fn follow(&mut self, services: &[Service]) {
        let first = &services[self.services[0].place()];
        self.prober.check_only(first.roster.to_be_checked());
    }
}
