use std::collections::VecDeque;

use super::application::{Application, HEADER_BYTE, pattern};
use super::in_flight::{Cancelled, InFlight, Receive, Send, Watch};
use super::memory::{BUFFER_SIZE, Memory};
use super::proxy_header::ClientHeader;
use crate::flow::{Piece, Side};
use crate::session::{Event, Op};

pub(super) const FULL: u64 = BUFFER_SIZE as u64;
pub(super) const PIPE_MAX: u64 = 100;
pub(super) const SEND_QUEUE_MAX: usize = 60;
const POISON: u8 = 0xEE;

/// A kernel and the two applications beyond it, all driven by one random number generator.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) rng: fastrand::Rng,
    pub(super) applications: [Application; 2],
    pub(super) in_flight: [InFlight; 2],
    /// What the client begins with.
    pub(super) client_header: ClientHeader,
    /// Length of the header that the target gets first.
    header_bytes: usize,
    /// Whether there is a client; one for whom nothing is preconnected is there from the start.
    pub(super) client_is_there: bool,
    connect: Option<Cancelled>,
    pub(super) connected: bool,
    pub(super) connects_left: u8,
    /// Chance in 256 that a connect fails.
    connect_failure: u8,
    /// Chance in 256 that a receive fills its buffer if it can.
    fullness: u8,
    /// What is in the pipe to each side.
    pub(super) pipes: [Vec<u8>; 2],
    memory: Memory,
    timers: VecDeque<Timer>,
    /// Looks at a send queue since it last became shorter, and its length then.
    stalled: (usize, usize),
    finished: bool,
}

#[derive(Debug)]
enum Timer {
    Watch,
    Measure(Side),
}

impl Kernel {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut applications =
            [Side::Client, Side::Target].map(|side| Application::new(side, &mut rng));
        let client_is_there = rng.u8(..3) > 0;
        let client_header = ClientHeader::new(&mut rng, client_is_there);
        let header_bytes = if rng.bool() { rng.usize(1..=BUFFER_SIZE) } else { 0 };
        applications[Side::Target as usize].expect(header_bytes as u64, client_header.bytes());
        let connects_left = if client_is_there { rng.u8(1..=3) } else { 1 };
        let connect_failure = [0, 0, 60, 220][rng.usize(..4)];
        let fullness = if rng.bool() { 127 } else { 250 };
        Self {
            rng,
            applications,
            in_flight: [InFlight::default(), InFlight::default()],
            client_header,
            header_bytes,
            client_is_there,
            connect: None,
            connected: false,
            connects_left,
            connect_failure,
            fullness,
            pipes: [Vec::new(), Vec::new()],
            memory: Memory::default(),
            timers: VecDeque::new(),
            stalled: (0, 0),
            finished: false,
        }
    }

    /// Whether there is an application that lets a session last for ever.
    pub(super) fn somebody_is_slow(&self) -> bool {
        self.applications.iter().any(Application::is_slow)
    }

    pub(super) fn application(&self, side: Side) -> &Application {
        &self.applications[side as usize]
    }

    /// Lets the application read all it was sent.
    pub(super) fn drain(&mut self, side: Side) -> &Application {
        self.applications[side as usize].drain();
        self.application(side)
    }

    /// Whether a send queue was looked at for long enough in vain to be given up.
    pub(super) fn gave_up(&self) -> bool {
        self.stalled.0 >= 5000 / 64
    }

    pub(super) fn assert_nothing_left(&self) {
        assert!(self.finished);
        assert!(self.connect.is_none());
        for side in Side::BOTH {
            let in_flight = &self.in_flight[side as usize];
            assert!(in_flight.receive.is_none() && in_flight.watch.is_none());
            assert!(in_flight.send.is_none());
        }
        assert!(self.pipes.iter().all(Vec::is_empty), "a pipe is kept");
        self.memory.assert_all_returned();
        let is_closed = self.application(Side::Client).closed;
        assert_eq!(is_closed, self.client_is_there, "the client's descriptor is leaked");
    }

    /// Does one random thing: an application acts, an operation completes or a timer is due.
    pub(super) fn step(&mut self) -> Option<Event> {
        let side = Side::BOTH[self.rng.usize(..2)];
        match self.rng.u8(..10) {
            0..=2 => self.application_acts(side),
            3..=5 => self.complete_receive(side),
            6 | 7 => self.complete_send(side),
            8 => self.complete_connect().or_else(|| self.complete_watch(side)),
            _ => self.fire_timer(),
        }
    }

    fn application_acts(&mut self, side: Side) -> Option<Event> {
        // The target's application knows of no connection before it was connected.
        let is_there = if side == Side::Client { self.client_is_there } else { self.connected };
        if is_there {
            self.applications[side as usize].act(&mut self.rng);
        }
        None
    }

    /// Takes an operation; what came of it if that is known at once.
    pub(super) fn submit(&mut self, op: Op) -> Option<Event> {
        assert!(!self.finished, "{op:?} after the end");
        match op {
            Op::Fill { from } => return Some(self.fill(from)),
            Op::Drain { to } => return Some(self.drain_pipe(to)),
            Op::DiscardPipe { to } => {
                assert!(!self.pipes[to as usize].is_empty(), "nothing to discard");
                self.pipes[to as usize].clear();
            }
            Op::AwaitReadable { from } => {
                let new = Receive { wait: true, multishot: false, cancelled: false };
                assert!(self.in_flight[from as usize].receive.replace(new).is_none());
            }
            Op::AwaitWritable { to } => {
                let new = Send { piece: None, cancelled: false };
                assert!(self.in_flight[to as usize].send.replace(new).is_none());
            }
            Op::Connect => return self.start_connect(),
            Op::CancelConnect => self.connect = self.connect.map(|_| true),
            Op::Receive { from, multishot, .. } => {
                let new = Receive { wait: false, multishot, cancelled: false };
                assert!(!self.application(from).closed);
                assert!(self.in_flight[from as usize].receive.replace(new).is_none());
            }
            Op::CancelReceive { from } => {
                self.in_flight[from as usize]
                    .receive
                    .as_mut()
                    .expect("cancels a receive that is in flight")
                    .cancelled = true;
            }
            Op::Send { to, piece } => {
                assert!(self.pipes[to as usize].is_empty(), "overtakes what is in the pipe");
                let new = Send { piece: Some(piece), cancelled: false };
                assert!(self.in_flight[to as usize].send.replace(new).is_none());
            }
            Op::CancelSend { to } => {
                self.in_flight[to as usize]
                    .send
                    .as_mut()
                    .expect("cancels a send that is in flight")
                    .cancelled = true;
            }
            Op::Watch { side } => {
                let new = Watch::default();
                assert!(self.in_flight[side as usize].watch.replace(new).is_none());
            }
            Op::CancelWatch { side } => {
                self.in_flight[side as usize]
                    .watch
                    .as_mut()
                    .expect("cancels a watch that is in flight")
                    .cancelled = true;
            }
            Op::WatchLater => self.timers.push_back(Timer::Watch),
            Op::ShutdownWrite { to } => self.applications[to as usize].queue_end_of_stream(),
            Op::Recycle { buffer } => self.recycle(buffer),
            Op::MeasureSendQueue { to, .. } => self.timers.push_back(Timer::Measure(to)),
            Op::Inspect => {
                let is_empty = |it: &Application| it.inbound == 0 && !it.has_ended();
                return Some(Event::Inspected { is_empty: self.applications.iter().all(is_empty) });
            }
            Op::Close { side, reset } => self.close(side, reset),
            Op::Finish => self.finished = true,
        }
        None
    }

    fn start_connect(&mut self) -> Option<Event> {
        assert!(self.client_header.is_complete(), "connected before the client said who it is");
        assert!(self.connect.replace(false).is_none(), "two connects");
        self.renew_target();
        let Some(left) = self.connects_left.checked_sub(1) else {
            self.connect = None;
            return Some(Event::NoTarget);
        };
        self.connects_left = left;
        None
    }

    fn close(&mut self, side: Side, reset: bool) {
        let in_flight = &self.in_flight[side as usize];
        assert!(in_flight.receive.is_none() && in_flight.send.is_none());
        assert!(in_flight.watch.is_none(), "an operation holds the socket");
        // With unread bytes the kernel itself resets it; nobody minds before there is a client.
        let is_unread = !self.client_is_there && self.application(side).inbound > 0;
        self.applications[side as usize].close(reset || is_unread);
    }

    fn recycle(&mut self, buffer: u16) {
        for in_flight in &self.in_flight {
            let used = in_flight
                .send
                .as_ref()
                .and_then(|send| send.piece)
                .is_some_and(|piece| piece.buffer == buffer);
            assert!(!used, "buffer {buffer} is recycled while it is being sent");
        }
        self.memory.recycle(buffer);
    }

    fn complete_receive(&mut self, from: Side) -> Option<Event> {
        let receive = self.in_flight[from as usize].receive.as_ref()?;
        let Receive { wait, multishot, cancelled } = *receive;
        let application = &mut self.applications[from as usize];
        let out_of_buffers = self.rng.u8(..40) == 0;
        // A cancelled receive may still bring what had arrived before.
        if (cancelled && (application.inbound == 0 || self.rng.bool()))
            || (out_of_buffers && application.inbound > 0)
        {
            self.in_flight[from as usize].receive = None;
            return Some(Event::ReceiveStopped { from });
        }
        if wait {
            let nothing = application.inbound == 0 && !application.has_ended();
            if nothing {
                return None;
            }
            self.in_flight[from as usize].receive = None;
            return Some(Event::Readable { from });
        }
        if application.inbound > 0 {
            return Some(self.receive_bytes(from, multishot));
        }
        let event = if application.has_reset() && std::mem::take(&mut application.error_pending) {
            Event::ReceiveFailed { from }
        } else if application.has_reset() || application.has_sent_fin() {
            Event::EndOfStream { from }
        } else {
            return None;
        };
        self.in_flight[from as usize].receive = None;
        Some(event)
    }

    pub(super) fn receive_bytes(&mut self, from: Side, multishot: bool) -> Event {
        let application = &mut self.applications[from as usize];
        let short = self.rng.u64(1..=FULL);
        let is_full = self.rng.u8(..) <= self.fullness;
        let count = if is_full { FULL } else { short }.min(application.inbound);
        let first = application.next_inbound();
        application.inbound -= count;
        let mut bytes = [POISON; BUFFER_SIZE];
        for (index, byte) in (first..first + count).zip(&mut bytes) {
            *byte = pattern(from, index);
        }
        let buffer = self.memory.keep(bytes);
        let more = multishot && self.rng.u8(..20) > 0;
        if !more {
            self.in_flight[from as usize].receive = None;
        }
        let piece = Piece { buffer, start: 0, end: u16::try_from(count).expect("a buffer") };
        Event::Received { from, piece, full: count == FULL, more }
    }

    /// The header that has to come before `Connected`, if the target is to get one.
    pub(super) fn header(&mut self) -> Option<Event> {
        let end = u16::try_from(self.header_bytes).expect("a buffer holds it");
        let make = || {
            let buffer = self.memory.keep([HEADER_BYTE; BUFFER_SIZE]);
            Event::HeaderForTarget { piece: Piece { buffer, start: 0, end } }
        };
        (end > 0).then(make)
    }

    fn complete_send(&mut self, to: Side) -> Option<Event> {
        let send = self.in_flight[to as usize].send.as_ref()?;
        let cancelled = send.cancelled;
        let Some(piece) = send.piece else { return self.complete_wait_for_room(to, cancelled) };
        let application = &mut self.applications[to as usize];
        let event = if application.has_reset() {
            // A send that had queued a part already takes the error without telling of it.
            let error = std::mem::take(&mut application.error_pending);
            let part = if error { self.rng.usize(..piece.len()) } else { 0 };
            if part > 0 { Event::Sent { to, bytes: part } } else { Event::SendFailed { to } }
        } else {
            let room = SEND_QUEUE_MAX.saturating_sub(application.send_queue());
            let bytes = room.min(piece.len());
            if bytes == piece.len() || (cancelled && bytes > 0) {
                let buffer = self.memory.buffer(piece.buffer);
                application.queue(&buffer[usize::from(piece.start)..][..bytes]);
                Event::Sent { to, bytes }
            } else if cancelled {
                Event::SendStopped { to }
            } else {
                return None;
            }
        };
        self.in_flight[to as usize].send = None;
        Some(event)
    }

    fn complete_connect(&mut self) -> Option<Event> {
        let cancelled = self.connect?;
        if self.rng.u8(..4) > 0 && !cancelled {
            return None;
        }
        self.connect = None;
        if self.rng.u8(..16) == 0 {
            // It was as if it had not been made.
            self.connects_left += 1;
            return Some(Event::ConnectFailed);
        }
        if (cancelled && self.rng.bool()) || self.rng.u8(..) < self.connect_failure {
            let none_left = !cancelled && self.rng.u8(..4) == 0;
            return Some(if none_left { Event::NoTarget } else { Event::ConnectFailed });
        }
        self.connected = true;
        Some(Event::Connected)
    }

    fn complete_watch(&mut self, side: Side) -> Option<Event> {
        let watch = self.in_flight[side as usize].watch.as_mut()?;
        let application = &mut self.applications[side as usize];
        let error = !watch.error_told && application.has_reset() && application.error_pending;
        let fin = !watch.fin_told && application.has_sent_fin();
        if !error && !fin && !watch.cancelled {
            return None;
        }
        watch.error_told |= error;
        watch.fin_told |= fin;
        application.error_pending &= !error || self.rng.bool();
        // Rarely it ends by itself: when there is no room for its completion.
        let more = !watch.cancelled && self.rng.u8(..20) > 0;
        if !more {
            self.in_flight[side as usize].watch = None;
        }
        Some(Event::Watched { side, error, more })
    }

    fn fire_timer(&mut self) -> Option<Event> {
        match self.timers.pop_front()? {
            Timer::Watch => Some(Event::WatchDue),
            Timer::Measure(to) => {
                let bytes = self.application(to).send_queue();
                self.note_measure(self.application(to).read());
                Some(Event::SendQueue { to, bytes })
            }
        }
    }

    fn note_measure(&mut self, read: u64) {
        let read = usize::try_from(read).expect("few bytes");
        self.stalled = if read == self.stalled.1 { (self.stalled.0 + 1, read) } else { (0, read) };
    }
}
