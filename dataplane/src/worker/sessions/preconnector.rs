//! Connections to targets that are made before there is a client for them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::flow::Key;
use crate::selection::local_target::{LastConnect, LocalTarget};
use crate::session::{CloseReason, Session};
use crate::settings::Settings;
use crate::worker::connection::{AcceptedClient, Connection};
use crate::worker::core::Core;

/// How often pools are looked at that no client comes for.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// For how long nothing is preconnected after descriptors or buffers have run out.
const SHORTAGE_REST: Duration = Duration::from_secs(1);

/// What a core keeps of its pools beside the pools themselves, which the targets have.
#[derive(Debug)]
pub(in crate::worker) struct Preconnector {
    is_on: bool,
    connections_max: usize,
    /// Those that had a connection when last looked at.
    targets: Vec<Rc<LocalTarget>>,
    look_due: Instant,
    /// Whose clients came in this turn.
    wanted: Vec<Rc<LocalTarget>>,
    /// Others need what the pools take.
    is_unaffordable: bool,
    /// Nothing is preconnected before.
    rests_until: Instant,
}

/// What is to be done about pools.
#[derive(Debug, Default)]
pub(in crate::worker) struct PoolChanges {
    /// No client is going to come for these.
    pub(in crate::worker) unwanted: Vec<Key>,
    /// These are to be connected once more each.
    pub(in crate::worker) lacking: Vec<Rc<LocalTarget>>,
}

impl Preconnector {
    pub(in crate::worker) fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            is_on: settings.pool_size > 0,
            connections_max: settings.connections_max,
            targets: Vec::new(),
            look_due: now,
            wanted: Vec::new(),
            is_unaffordable: false,
            rests_until: now,
        }
    }

    /// When there is something to do without anything having happened.
    pub(in crate::worker) fn due(&self) -> Option<Instant> {
        (!self.targets.is_empty()).then_some(self.look_due)
    }

    /// Descriptors or buffers have run out.
    pub(in crate::worker) fn note_shortage(&mut self, now: Instant) {
        self.is_unaffordable = true;
        self.rests_until = now + SHORTAGE_REST;
    }

    /// A connection to this target that waits for a client, for one that has come.
    pub(in crate::worker) fn claim(
        &mut self,
        core: &mut Core,
        target: &Rc<LocalTarget>,
    ) -> Option<Key> {
        if !self.is_on {
            return None;
        }
        let Core { connections, now, .. } = core;
        let claimed = target.pool().borrow_mut().claim(*now, |key| {
            connections.get_mut(key).is_some_and(|it| it.session.is_ready_for_client())
        });
        self.wanted.push(Rc::clone(target));
        let count = &core.count(target.service()).preconnect;
        let which = if claimed.is_some() { &count.hits } else { &count.misses };
        which.increment();
        claimed
    }

    /// A connection to the target begins, for a client that is yet to come.
    pub(in crate::worker) fn begin(
        core: &mut Core,
        session: Session,
        target: &Rc<LocalTarget>,
    ) -> Key {
        let activity = core.new_activity();
        let connection = Connection::preconnected(session, Rc::clone(target), activity);
        let key = core.connections.insert(connection);
        core.count(target.service()).preconnect.waiting.increment();
        target.pool().borrow_mut().note_connecting(key);
        key
    }

    /// A connection is there now, if its session can take a client.
    pub(in crate::worker) fn note_ready(core: &mut Core, key: Key, target: &LocalTarget) {
        if core.connection(key).is_some_and(|it| it.session.is_ready_for_client()) {
            target.pool().borrow_mut().note_ready(key, core.now);
        }
    }

    /// A connection that waited for a client gets this one.
    pub(in crate::worker) fn give(core: &mut Core, key: Key, client: AcceptedClient) {
        let connection = core.connection(key).expect("it was claimed just now");
        connection.adopt(client);
        let (service, target) = (connection.service(), connection.upstream.target().cloned());
        let count = core.count(service);
        count.preconnect.waiting.decrement();
        if let Some(target) = target {
            target.count_client(count);
        }
    }

    /// A connection has ended that no client came for.
    pub(in crate::worker) fn note_finished(core: &Core, key: Key, connection: &Connection) {
        let reason = connection.session.close_reason();
        let count = &core.count(connection.service()).preconnect;
        count.waiting.decrement();
        match reason {
            Some(CloseReason::Broken) => count.broken.increment(),
            Some(CloseReason::NoTarget) | None => (),
            Some(_) => count.expired.increment(),
        }
        if let Some(target) = connection.upstream.preconnected_target() {
            let by_target = reason == Some(CloseReason::Broken);
            target.pool().borrow_mut().note_gone(key, core.now, by_target);
        }
    }

    /// Whether clients have come since pools were filled.
    pub(in crate::worker) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Whether pools are to be looked at.
    pub(in crate::worker) fn is_due(&self, now: Instant) -> bool {
        self.is_unaffordable || self.due().is_some_and(|due| due <= now)
    }

    /// What the clients of this turn have left wanting.
    pub(in crate::worker) fn take_lacking(&mut self, core: &Core) -> Vec<Rc<LocalTarget>> {
        let mut lacking = Vec::new();
        let mut room = self.room(core);
        let mut wanted = std::mem::take(&mut self.wanted);
        for target in wanted.drain(..) {
            // What is lacking does not count yet: of several clients' wishes the first is for all.
            let is_planned = lacking.iter().any(|it| Rc::ptr_eq(it, &target));
            let count = self.lacks(&target, core.now).min(room);
            if count == 0 || is_planned {
                continue;
            }
            room -= count;
            lacking.extend(std::iter::repeat_n(Rc::clone(&target), count));
            if !self.targets.iter().any(|it| Rc::ptr_eq(it, &target)) {
                if self.targets.is_empty() {
                    self.look_due = core.now + LOOK_INTERVAL;
                }
                self.targets.push(target);
            }
        }
        self.wanted = wanted;
        lacking
    }

    /// What has waited for too long, or is needed elsewhere, and what takes its place.
    pub(in crate::worker) fn look(&mut self, core: &Core) -> PoolChanges {
        let mut changes = PoolChanges::default();
        if std::mem::take(&mut self.is_unaffordable) {
            changes.unwanted = self.empty(|_| true);
        }
        if self.targets.is_empty() || core.now < self.look_due {
            return changes;
        }
        self.look_due = core.now + LOOK_INTERVAL;
        if self.is_short_of_room(core) {
            changes.unwanted.extend(self.empty(|_| true));
        }
        let mut room = self.room(core);
        let mut targets = std::mem::take(&mut self.targets);
        targets.retain(|target| {
            while let Some(key) = target.pool().borrow_mut().take_expired(core.now) {
                changes.unwanted.push(key);
            }
            let count = self.lacks(target, core.now).min(room);
            room -= count;
            changes.lacking.extend(std::iter::repeat_n(Rc::clone(target), count));
            count > 0 || target.pool().borrow().len() > 0
        });
        self.targets = targets;
        changes
    }

    /// All connections to targets that are not to be used, or have become others.
    pub(in crate::worker) fn take_out_of_use(&mut self) -> Vec<Key> {
        self.empty(|target| !target.status().may_be_preconnected())
    }

    /// No client comes any more: all connections.
    pub(in crate::worker) fn close(&mut self) -> Vec<Key> {
        self.is_on = false;
        self.empty(|_| true)
    }

    fn empty(&self, is_affected: impl Fn(&LocalTarget) -> bool) -> Vec<Key> {
        let targets = self.targets.iter().filter(|target| is_affected(target));
        targets.flat_map(|target| target.pool().borrow_mut().take_all()).collect()
    }

    /// How many connections to the target are wanted and not there.
    fn lacks(&self, target: &LocalTarget, now: Instant) -> usize {
        // A target that is down is not found out about here.
        let is_sound =
            target.status().may_be_preconnected() && target.last_connect() == LastConnect::Reached;
        let rests = !self.is_on || now < self.rests_until;
        if rests || !is_sound { 0 } else { target.pool().borrow().lacking(now) }
    }

    /// How many more connections may wait for clients: the second half is for clients only.
    fn room(&self, core: &Core) -> usize {
        (self.connections_max / 2).saturating_sub(core.open_and_preconnected())
    }

    /// Whether clients are going to need the descriptors soon that pools take.
    fn is_short_of_room(&self, core: &Core) -> bool {
        core.open_and_preconnected() >= self.connections_max / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::CoreCounters;

    use super::*;
    use crate::selection::targets::Targets;
    use crate::selection::targets::tests::snapshot;

    #[test]
    fn many_clients_of_a_turn_leave_no_more_wanting_than_one() {
        let counters: Arc<[CoreCounters]> = Arc::new([CoreCounters::default()]);
        let mut core = Core::new(0, counters).unwrap();
        let mut targets = Targets::new(0, 1).with_pools(5);
        targets.update(&snapshot(1, 1));
        let target = &targets.eligible()[0];
        target.reached();
        target.pool().borrow_mut().note_connect(Duration::from_millis(5));
        let mut preconnector = Preconnector::new(&Settings::default(), core.now);
        for _ in 0..1000 {
            assert_eq!(preconnector.claim(&mut core, target), None);
        }
        let lacking = target.pool().borrow().lacking(core.now);
        assert_eq!(lacking, 5);
        assert_eq!(preconnector.take_lacking(&core).len(), lacking);
    }
}
