//! Keeps the affinity table up with the targets that clients are led to.

use std::sync::Arc;

use exchange::{Affinity, ServiceIndex, Target};
use tokio::sync::mpsc;

use crate::controller::event::Event;
use crate::threads::background::{self, Priority};

/// Decides which tables are built: one at a time, and none twice. While one is being built any
/// number of targets may come and go; the next one makes up for all of them.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// What the latest table was made of, or is being made of.
    targets: Vec<Arc<Target>>,
    is_building: bool,
}

impl Tables {
    /// The targets to build a table of now, if there is to be another one, where clients are led to
    /// these.
    pub(crate) fn next<'a>(
        &mut self,
        targets: impl Iterator<Item = &'a Arc<Target>>,
    ) -> Option<Vec<Arc<Target>>> {
        if self.is_building {
            return None;
        }
        let mut targets = targets.peekable();
        // Without targets there is nobody to lead clients to, and when they come back they are
        // likely to be those of before.
        targets.peek()?;
        let targets: Vec<_> = targets.cloned().collect();
        if targets == self.targets {
            return None;
        }
        self.is_building = true;
        self.targets.clone_from(&targets);
        Some(targets)
    }

    /// The table that was asked for is there.
    pub(crate) fn built(&mut self) {
        self.is_building = false;
    }
}

/// Builds a table on a thread of its own, below all others, and sends it to the controller. Where
/// no thread can be started it is built here. Must be called inside a tokio runtime.
pub(crate) fn build(service: ServiceIndex, targets: Vec<Arc<Target>>, events: mpsc::Sender<Event>) {
    let table = move |targets| Event::Mapped(service, Arc::new(Affinity::of(targets)));
    let (ours, sender) = (targets.clone(), events.clone());
    let built = background::spawn("affinity", Priority::Low, move || {
        // Nobody listens only if the process is ending anyway.
        let _ = sender.blocking_send(table(ours));
    });
    if let Err(error) = built {
        log::warn!("the affinity table is built beside health checks: no thread for it: {error}");
        tokio::spawn(async move { events.send(table(targets)).await });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(tables: &mut Tables, ports: &[u16]) -> Option<Vec<u16>> {
        let target = |&port: &u16| Arc::new(Target::at(([10, 0, 0, 1], port).into()));
        let targets: Vec<_> = ports.iter().map(target).collect();
        let targets = tables.next(targets.iter())?;
        Some(targets.iter().map(|target| target.address.port()).collect())
    }

    #[test]
    fn one_table_at_a_time_is_built_of_those_who_are_there_by_then() {
        let mut tables = Tables::default();
        assert_eq!(next(&mut tables, &[]), None);
        assert_eq!(next(&mut tables, &[1]), Some(vec![1]));
        assert_eq!(next(&mut tables, &[1, 2]), None, "one is being built");
        tables.built();
        assert_eq!(next(&mut tables, &[1, 2]), Some(vec![1, 2]));
        tables.built();
        assert_eq!(next(&mut tables, &[1, 2]), None, "it is the same");
        assert_eq!(next(&mut tables, &[]), None, "there is nobody");
        assert_eq!(next(&mut tables, &[1, 2]), None, "they are back");
        assert_eq!(next(&mut tables, &[2]), Some(vec![2]));
    }
}
