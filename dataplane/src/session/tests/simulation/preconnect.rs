use super::application::Application;
use super::kernel::Kernel;
use super::{CloseReason, Event, World};
use crate::flow::Piece;
use crate::flow::Side;

impl World {
    /// Gives a connection that was preconnected to a client that may have said something already.
    pub(super) fn bring_client(&mut self) {
        let event = self.kernel.bring_client();
        self.feed(event);
        assert!(!self.session.awaits_client());
    }

    /// Nobody but the target knows that there was a connection.
    pub(super) fn check_unclaimed(&mut self, reason: CloseReason) {
        assert!(self.session.awaits_client() && !self.kernel.client_is_there);
        assert_eq!(self.session.relay().half(Side::Client).received_bytes(), 0);
        let said_too_much = self.session.relay().half(Side::Target).received_bytes() > 3;
        let target = self.kernel.application(Side::Target);
        if reason == CloseReason::Broken {
            assert!(target.has_ended() || said_too_much, "ended without reason");
        }
        assert!(!self.session.is_connected() || target.closed);
        assert_eq!(target.read() + target.send_queue() as u64, 0, "something was sent");
    }
}

impl Kernel {
    /// Whether the target is connected before there is a client.
    pub(super) fn is_preconnected(&self) -> bool {
        !self.client_is_there
    }

    /// The client comes, perhaps in the moment in which the target goes.
    fn bring_client(&mut self) -> Event {
        assert!(!std::mem::replace(&mut self.client_is_there, true), "a second client");
        self.connects_left = self.rng.u8(..3);
        if self.rng.u8(..4) == 0 && self.application(Side::Target).written() == 0 {
            self.applications[Side::Target as usize].leave(&mut self.rng);
        }
        let payload = if self.rng.bool() { self.client_speaks() } else { None };
        Event::ClientArrived { payload }
    }

    /// What the client has sent already, if anything.
    fn client_speaks(&mut self) -> Option<Piece> {
        self.applications[Side::Client as usize].act(&mut self.rng);
        if self.application(Side::Client).inbound == 0 {
            return None;
        }
        match self.receive_bytes(Side::Client, false) {
            Event::Received { piece, .. } => Some(piece),
            event => unreachable!("{event:?}"),
        }
    }

    /// After the connection to a target was closed, the next one is to another.
    pub(super) fn renew_target(&mut self) {
        let target = &mut self.applications[Side::Target as usize];
        if target.closed {
            let sent = target.read() + target.send_queue() as u64;
            assert_eq!(sent, 0, "what was sent to the former target is lost");
            *target = Application::new(Side::Target, &mut self.rng);
            self.connected = false;
        }
    }
}
