//! One core's event loop: waits on the ring, feeds completions to sessions and performs the
//! operations they ask for.

mod acceptor;
mod admission;
mod balancing;
mod connection;
mod connection_balancer;
mod connector;
mod core;
mod idle_scan;
mod lifecycle;
mod maintenance;
mod operations;
mod preconnecting;
mod pressure;
mod proxy_headers;
mod rebalancer;
mod splice;
mod stall;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{CoreCounters, Reporter, Subscriber};

use crate::flow::Key;
use crate::flow::{Piece, Side};
use crate::limits::rejection_log::RejectionLog;
use crate::limits::{Admission, pipes_max};
use crate::selection::balance::Balance;
use crate::selection::choice::Chooser;
use crate::selection::targets::Targets;
use crate::session::{Event, Op, Preface, WATCH_DELAY};
use crate::settings::Settings;
use crate::sys::listener::Listener;
use crate::sys::pipes::Pipes;
use crate::sys::{BUFFER_SIZE, Completion, Ring};
use crate::worker::connection::Connection;
use crate::worker::core::slots::Slots;
use crate::worker::core::timers::{EqualTimers, Timers};
use acceptor::Accepting;
pub(crate) use acceptor::pause_log::PauseLog;
pub(crate) use connection_balancer::Handover;
use idle_scan::Sweep;
pub use idle_scan::activity::IdleTimeouts;
pub(crate) use lifecycle::Orders;
use preconnecting::Pooling;
use stall::Stall;

/// The longest wait: what nobody wakes the core for is looked at this often.
const WAIT_MAX: Duration = Duration::from_millis(100);

pub(crate) struct Worker {
    settings: Settings,
    ring: Ring,
    connections: Slots<Connection>,
    targets: Targets,
    chooser: Chooser,
    pooling: Pooling,
    subscriber: Subscriber,
    reporter: Reporter,
    orders: Arc<Orders>,
    pause_log: Arc<PauseLog>,
    rejection_log: Arc<RejectionLog>,
    admission: Arc<Admission>,
    /// When a line about ports that have run out was written last.
    ports_logged: Option<Instant>,
    /// It takes a system call: only if something depends on it.
    needs_client_address: bool,
    counters: Arc<[CoreCounters]>,
    core: usize,
    listener: Option<Listener>,
    accepting: Accepting,
    handover: Handover,
    /// Connections that were reset because the time for a graceful end was over.
    aborted: u64,
    pipes: Pipes,
    connects: EqualTimers,
    /// Clients whose sessions want to connect while clients are to wait.
    waiting: VecDeque<Key>,
    prefaces: EqualTimers,
    watches: EqualTimers,
    measures: Timers<(Key, Side)>,
    /// Sides that nothing is received from, as of when they were last looked at: usually because
    /// their peers do not read.
    held_up: usize,
    sweep: Sweep,
    /// Receives that ended because there was no buffer left, and wait for one.
    starved: VecDeque<(Key, Side)>,
    stall: Stall,
    /// Read once a turn.
    now: Instant,
    buffers_shrunk: Instant,
    /// Reused from turn to turn.
    completions: Vec<Completion>,
    prefaces_read: Vec<Completion>,
    accepted: Vec<(io::Result<OwnedFd>, bool)>,
    ops: Vec<Op>,
}

/// What a worker is made of.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) core: usize,
    pub(crate) listener: Listener,
    pub(crate) handover: Handover,
    pub(crate) subscriber: Subscriber,
    pub(crate) reporter: Reporter,
    pub(crate) orders: Arc<Orders>,
    /// For lines about accepting having paused.
    pub(crate) pause_log: Arc<PauseLog>,
    /// For lines about clients that were turned away.
    pub(crate) rejection_log: Arc<RejectionLog>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counters: Arc<[CoreCounters]>,
}

impl Worker {
    /// A worker for the calling thread, on which it has to stay.
    ///
    /// # Errors
    /// When the ring can't be made.
    pub(crate) fn new(parts: Parts) -> io::Result<Self> {
        let Parts {
            mut settings,
            core,
            listener,
            handover,
            subscriber,
            reporter,
            orders,
            pause_log,
            rejection_log,
            admission,
            counters,
        } = parts;
        let cores = counters.len();
        let pipes_max = pipes_max(settings.connections_max, cores);
        settings.connections_max -= pipes_max * cores;
        let now = Instant::now();
        let mut ring = Ring::new()?;
        ring.read_wake(subscriber.waker().as_fd());
        Ok(Self {
            ring,
            connections: Slots::new(),
            targets: Targets::new(core, cores).with_pools(settings.pool_size),
            pooling: Pooling::new(settings.pool_size > 0, now),
            chooser: Chooser::new(
                settings.balance,
                settings.connect_attempts,
                cores,
                fastrand::Rng::new(),
                now,
            ),
            subscriber,
            reporter,
            orders,
            pause_log,
            rejection_log,
            ports_logged: None,
            needs_client_address: settings.log_connections
                || settings.balance == Balance::Maglev
                || admission.needs_address()
                || settings.proxy_protocol.from.is_some(),
            admission,
            counters,
            core,
            accepting: Accepting::waiting(&listener),
            listener: Some(listener),
            handover,
            aborted: 0,
            pipes: Pipes::new(pipes_max),
            connects: EqualTimers::new(settings.connect_timeout),
            waiting: VecDeque::new(),
            prefaces: EqualTimers::new(proxy_headers::PREFACE_TIMEOUT),
            watches: EqualTimers::new(WATCH_DELAY),
            measures: Timers::new(),
            held_up: 0,
            sweep: Sweep::new(&settings, now),
            starved: VecDeque::new(),
            stall: Stall::default(),
            now,
            buffers_shrunk: now,
            completions: Vec::new(),
            prefaces_read: Vec::new(),
            accepted: Vec::new(),
            ops: Vec::new(),
            settings,
        })
    }

    /// Waits for completions and handles them. True if it is time for [`Worker::upkeep`].
    pub(crate) fn turn(&mut self) -> bool {
        let wait = if self.stall.is_over() { self.wait_time() } else { Duration::ZERO };
        if let Err(error) = self.ring.wait(wait) {
            // Not to be had: without its ring a core can do nothing, and others don't know of it.
            panic!("io_uring_enter: {error}");
        }
        let before = std::mem::replace(&mut self.now, Instant::now());
        self.count().iterations.increment();
        let mut completions = std::mem::take(&mut self.completions);
        self.ring.completions(&mut completions);
        if let Some(missed) = self.stall.note_turn(before, self.now, wait, completions.is_empty()) {
            self.sweep.leave_out(missed);
        }
        let mut upkeep_is_due = completions.is_empty();
        let mut is_woken = false;
        let mut accepted = std::mem::take(&mut self.accepted);
        for completion in completions.drain(..) {
            match completion {
                Completion::Woken => {
                    self.ring.read_wake(self.subscriber.waker().as_fd());
                    upkeep_is_due = true;
                    is_woken = true;
                }
                // New sessions last: what is known about targets by now is known to them.
                Completion::Accepted { result, more } => accepted.push((result, more)),
                completion if self.is_of_preface(&completion) => {
                    self.prefaces_read.push(completion);
                }
                completion => self.handle(completion),
            }
        }
        if is_woken && self.stall.is_over() {
            self.take_snapshot();
        }
        if !accepted.is_empty() || !self.prefaces_read.is_empty() {
            // A core that has slept knows nothing of what the others have done meanwhile.
            self.read_other_cores();
        }
        self.handle_prefaces();
        self.handle_all_accepted(&mut accepted);
        self.accepted = accepted;
        self.fill_pools();
        self.completions = completions;
        let can_accept = self.accepting.due().is_some_and(|due| due <= self.now);
        upkeep_is_due || can_accept || !self.starved.is_empty()
    }

    /// Whether the core has stopped accepting, no session is left and none can come.
    pub(crate) fn is_done(&self) -> bool {
        self.accepting.is_over() && self.connections.is_empty() && self.handover.is_over()
    }

    /// Connections that were reset because the time for a graceful end was over.
    pub(crate) fn aborted(&self) -> u64 {
        self.aborted
    }

    /// Has the ring do what it was last asked for: above all, close descriptors.
    pub(crate) fn submit_rest(&mut self) {
        self.count().ended.increment();
        if let Err(error) = self.ring.wait(Duration::ZERO) {
            log::warn!("core {}: closing connections: {error}", self.core);
        }
    }

    fn wait_time(&self) -> Duration {
        let timers = [
            self.connects.next(),
            self.prefaces.next(),
            self.watches.next(),
            self.measures.next(),
            self.accepting.due(),
            self.pooling.due(),
            (!self.connections.is_empty()).then(|| self.sweep.next()),
        ];
        let next = timers.into_iter().flatten().min();
        next.map_or(WAIT_MAX, |due| due.saturating_duration_since(self.now).min(WAIT_MAX))
    }

    fn count(&self) -> &CoreCounters {
        &self.counters[self.core]
    }

    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Connected { key, result } => self.handle_connected(key, result),
            Completion::Received { key, from, result, more } => {
                self.handle_received(key, from, result, more);
            }
            Completion::Sent { key, to, result } => {
                if self.connections.get_mut(key).is_some_and(|it| it.session.awaits_writable(to)) {
                    return self.handle_writable(key, to, &result);
                }
                let event = match result {
                    Ok(bytes) => Event::Sent { to, bytes: bytes as usize },
                    Err(error) if is_cancellation(&error) => Event::SendStopped { to },
                    Err(_) => Event::SendFailed { to },
                };
                self.feed(key, event);
            }
            Completion::Watched { key, side, result, more } => {
                if !more && let Some(connection) = self.connections.get_mut(key) {
                    let was_held_up = std::mem::take(&mut connection.is_held_up[side as usize]);
                    self.held_up -= usize::from(was_held_up);
                }
                let error = result
                    .is_ok_and(|events| events & u32::from(libc::POLLERR.unsigned_abs()) != 0);
                self.feed(key, Event::Watched { side, error, more });
            }
            Completion::Accepted { .. } | Completion::Woken => {
                unreachable!("handled by the turn itself")
            }
        }
    }

    fn handle_received(
        &mut self,
        key: Key,
        from: Side,
        result: io::Result<(u32, Option<u16>)>,
        more: bool,
    ) {
        if self.connections.get_mut(key).is_some_and(|it| it.session.awaits_readable(from)) {
            return self.handle_readable(key, from, &result);
        }
        let event = match result {
            Ok((bytes @ 1.., Some(buffer))) => {
                let end = u16::try_from(bytes).expect("a receive brings at most a buffer");
                let piece = Piece { buffer, start: 0, end };
                Event::Received { from, piece, full: end == BUFFER_SIZE, more }
            }
            Ok((_, buffer)) => {
                if let Some(buffer) = buffer {
                    self.ring.recycle(buffer);
                }
                Event::EndOfStream { from }
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                if self.ring.provide_more_buffers() == 0 {
                    self.starved.push_back((key, from));
                    return;
                }
                Event::ReceiveStopped { from }
            }
            Err(error) if is_cancellation(&error) => Event::ReceiveStopped { from },
            Err(_) => Event::ReceiveFailed { from },
        };
        let event = if self.expects_prefaces() { self.read_preface(key, event) } else { event };
        match event {
            Event::Prefaced { piece, preface: Preface::Complete, more: false }
                if self.serve_introduced(key, piece) => {}
            event => self.feed(key, event),
        }
    }

    /// Gives an event to a session and performs the operations that follow.
    fn feed(&mut self, key: Key, event: Event) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.session.handle(event, &mut self.ops);
            self.perform_all(key);
        } else {
            // A session ends only when nothing of it is in flight.
            debug_assert!(false, "{event:?} for a session that is over");
            if let Event::Received { piece, .. } = event {
                self.ring.recycle(piece.buffer);
            }
        }
    }
}

/// Whether an operation ended without having found out anything about its connection.
fn is_cancellation(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECANCELED | libc::EINTR))
}
