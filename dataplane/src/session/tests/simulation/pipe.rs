//! Splicing, as the fake kernel does it.

use super::application::pattern;
use super::in_flight::Cancelled;
use super::kernel::{FULL, Kernel, PIPE_MAX, SEND_QUEUE_MAX};
use crate::flow::Side;
use crate::session::Event;

impl Kernel {
    pub(super) fn complete_wait_for_room(
        &mut self,
        to: Side,
        cancelled: Cancelled,
    ) -> Option<Event> {
        let application = self.application(to);
        let room = application.send_queue() < SEND_QUEUE_MAX || application.has_reset();
        if !room && !cancelled {
            return None;
        }
        self.in_flight[to as usize].send = None;
        let told = room && (!cancelled || self.rng.bool());
        Some(if told { Event::Writable { to } } else { Event::SendStopped { to } })
    }

    pub(super) fn fill(&mut self, from: Side) -> Event {
        let no_pipe = self.rng.u8(..20) == 0;
        let application = &mut self.applications[from as usize];
        if no_pipe {
            return Event::NotFilled { from };
        }
        if application.inbound > 0 {
            let count = self.rng.u64(1..=PIPE_MAX).min(application.inbound);
            let first = application.next_inbound();
            application.inbound -= count;
            let pipe = &mut self.pipes[from.peer() as usize];
            assert!(pipe.is_empty(), "two in one pipe");
            pipe.extend((first..first + count).map(|index| pattern(from, index)));
            let bytes = pipe.len();
            return Event::Filled { from, bytes, full: count >= FULL };
        }
        if application.has_reset() && std::mem::take(&mut application.error_pending) {
            Event::ReceiveFailed { from }
        } else {
            Event::NotFilled { from }
        }
    }

    pub(super) fn drain_pipe(&mut self, to: Side) -> Event {
        let application = &mut self.applications[to as usize];
        if application.has_reset() {
            application.error_pending = false;
            return Event::SendFailed { to };
        }
        let pipe = &mut self.pipes[to as usize];
        let room = SEND_QUEUE_MAX.saturating_sub(application.send_queue());
        let bytes = self.rng.usize(0..=room).min(pipe.len());
        application.queue(&pipe.drain(..bytes).collect::<Vec<_>>());
        Event::Drained { to, bytes }
    }
}
