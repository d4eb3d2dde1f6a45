use std::time::{Duration, Instant};

use super::Worker;
use crate::flow::AbortReason;
use crate::session::Event;

/// How often the number of buffers on offer is looked at, and whether accepting has calmed down.
const SHRINK_INTERVAL: Duration = Duration::from_secs(1);

impl Worker {
    /// What has to be done now and then rather than at once: news from the control plane, timers,
    /// what waits for buffers or descriptors.
    pub(crate) fn upkeep(&mut self) {
        self.now = Instant::now();
        if !self.stall.is_over() {
            // What has come in the meantime comes first: it is what the timers wait for.
            return;
        }
        self.stall.note_timers();
        self.take_snapshot();
        self.read_other_cores();
        self.reporter.flush();
        self.steer_accepting();
        self.take_handed();
        self.end_overdue_connects();
        self.end_overdue_prefaces();
        while let Some(key) = self.watches.pop_due(self.now) {
            if self.connections.get_mut(key).is_some() {
                self.feed(key, Event::WatchDue);
            }
        }
        while let Some((key, to)) = self.measures.pop_due(self.now) {
            if let Some(event) = self.measure(key, to) {
                self.feed(key, event);
            }
        }
        self.sweep();
        if !self.starved.is_empty() {
            self.pooling.note_shortage(self.now);
        }
        self.keep_pools();
        self.feed_starved();
        if self.now.saturating_duration_since(self.buffers_shrunk) >= SHRINK_INTERVAL {
            self.buffers_shrunk = self.now;
            self.ring.shrink_buffers();
            self.note_calm();
            self.count_drops();
            self.sum_up_rejections();
        }
        self.obey_orders();
    }

    /// Takes over what is new of the targets, if anything is.
    pub(super) fn take_snapshot(&mut self) {
        if let Some(snapshot) = self.subscriber.latest() {
            self.targets.update(&snapshot);
            self.empty_pools_out_of_use();
            self.reset_out_of_use();
            self.connect_waiting();
        }
    }

    /// Reads what the other cores have open, where that matters and if it was not done just now.
    pub(super) fn read_other_cores(&mut self) {
        if self.settings.balance.heeds_load() {
            self.targets.read_other_cores(self.now);
        }
    }

    /// Lets receives go on for which there are buffers again, those first that waited longest.
    fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return;
        }
        for _ in 0..self.ring.provide_more_buffers() {
            if let Some((key, from)) = self.starved.pop_front() {
                self.feed(key, Event::ReceiveStopped { from });
            }
        }
    }

    /// Ends what goes to targets whose connections are to be reset. Looks at every connection: that
    /// is rare.
    fn reset_out_of_use(&mut self) {
        if !self.targets.has_connections_to_reset() {
            return;
        }
        for key in self.connections.keys() {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            let Some(cause) = connection.chosen().and_then(|target| target.reset()) else {
                continue;
            };
            if connection.connect.is_some() {
                self.revoke_connect(key);
            } else if connection.session.ending().is_none() {
                self.feed(key, Event::Abort(cause));
            }
        }
    }

    /// Resets what is left, more than once: until the listener is closed connections still come.
    fn abort_all(&mut self) {
        let keys = self.connections.keys();
        for key in keys {
            if self.connections.get_mut(key).is_some_and(|it| it.session.ending().is_none()) {
                self.aborted += 1;
                self.feed(key, Event::Abort(AbortReason::Shutdown));
            }
        }
    }

    fn obey_orders(&mut self) {
        let Some(stopped_at) = self.orders.accepting_stopped_at() else { return };
        self.stop_accepting();
        self.close_pools();
        let overdue =
            self.now.saturating_duration_since(stopped_at) >= self.settings.shutdown_timeout;
        if overdue {
            self.abort_all();
        }
    }
}
