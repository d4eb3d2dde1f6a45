use std::sync::Arc;

use exchange::{Affinity, Report, ServiceIndex, Target};

use super::command::AdminCommand;
use crate::health::attempted::Attempted;
use crate::health::checked::Checked;

/// What the controller reacts to.
#[derive(Debug)]
pub(crate) enum Event {
    /// The targets are these now.
    Discovered(Vec<Target>),
    /// This balancer is in this zone.
    Located(Arc<str>),
    /// A target was checked.
    Checked(Checked),
    /// The affinity table that was asked for is built.
    Mapped(ServiceIndex, Arc<Affinity>),
    /// The cores have something to say about their connects.
    Reported(Vec<Report>),
    /// The control plane has tried to connect to an ejected target.
    Attempted(Attempted),
    /// An operator wants something.
    Commanded(AdminCommand),
}
