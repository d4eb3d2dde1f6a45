mod simulation;
mod unanswered;

use std::time::Duration;

use super::{CloseReason, Event, Op, Session};
use crate::flow::{AbortReason, Piece, Side};

/// A session and the operations it asked for last.
struct Tested {
    session: Session,
    ops: Vec<Op>,
}

impl Tested {
    fn accepted() -> Self {
        let mut ops = Vec::new();
        let session = Session::accepted(&mut ops);
        Self { session, ops }
    }

    fn connected() -> Self {
        let mut tested = Self::accepted();
        tested.feed(Event::Connected);
        tested
    }

    fn feed(&mut self, event: Event) -> &[Op] {
        self.ops.clear();
        self.session.handle(event, &mut self.ops);
        &self.ops
    }

    fn receive(&mut self, from: Side, buffer: u16, full: bool, more: bool) -> &[Op] {
        self.feed(Event::Received { from, piece: piece(buffer), full, more })
    }

    /// Small receives that are passed on at once, until the side counts as interactive.
    fn make_interactive(&mut self, from: Side) {
        for _ in 0..4 {
            if self.receive(from, 0, false, false).iter().any(is_multishot) {
                self.feed(Event::Sent { to: from.peer(), bytes: 10 });
                return;
            }
            self.feed(Event::Sent { to: from.peer(), bytes: 10 });
        }
        panic!("never receives multishot: {:?}", self.session);
    }
}

fn piece(buffer: u16) -> Piece {
    Piece { buffer, start: 0, end: 10 }
}

fn is_multishot(op: &Op) -> bool {
    matches!(op, Op::Receive { multishot: true, .. })
}

#[test]
fn a_wake_of_many_buffers_is_cancelled_and_kept() {
    let from = Side::Target;
    let mut tested = Tested::connected();
    tested.make_interactive(from);
    for buffer in [1, 2] {
        let ops = tested.receive(from, buffer, false, true);
        assert!(!ops.contains(&Op::CancelReceive { from }), "{ops:?}");
    }
    let ops = tested.receive(from, 3, false, true);
    assert!(ops.contains(&Op::CancelReceive { from }), "{ops:?}");
    for buffer in 4..30 {
        tested.receive(from, buffer, false, true);
    }
    let ops = tested.feed(Event::ReceiveStopped { from });
    assert!(!ops.iter().any(|op| matches!(op, Op::Receive { .. })), "too much is held: {ops:?}");
    for buffer in 1..30 {
        let ops = tested.feed(Event::Sent { to: Side::Client, bytes: 10 });
        assert!(ops.contains(&Op::Recycle { buffer }), "{ops:?}");
        assert!(!ops.iter().any(is_multishot), "it was bulk a moment ago: {ops:?}");
    }
}

#[test]
fn a_full_buffer_ends_multishot() {
    let from = Side::Client;
    let mut tested = Tested::connected();
    tested.make_interactive(from);
    let ops = tested.receive(from, 1, true, true);
    assert!(ops.contains(&Op::CancelReceive { from }), "{ops:?}");
}

#[test]
fn targets_are_connected_until_there_is_none() {
    let mut tested = Tested::accepted();
    assert!(tested.ops.contains(&Op::Connect));
    for _ in 0..7 {
        assert_eq!(tested.feed(Event::ConnectFailed), [Op::Connect]);
    }
    let ops = tested.feed(Event::NoTarget);
    assert!(!ops.contains(&Op::Connect), "{ops:?}");
    assert_eq!(tested.session.close_reason(), Some(CloseReason::NoTarget));
}

#[test]
fn a_send_that_is_cut_short_means_a_reset() {
    let mut tested = Tested::connected();
    tested.receive(Side::Client, 1, false, false);
    tested.feed(Event::Sent { to: Side::Target, bytes: 4 });
    let ops = tested.feed(Event::EndOfStream { from: Side::Target });
    assert!(!ops.contains(&Op::ShutdownWrite { to: Side::Client }), "FIN instead of RST: {ops:?}");
}

#[test]
fn both_gone_at_once_is_the_clients_doing() {
    let mut tested = Tested::connected();
    tested.receive(Side::Client, 1, false, false);
    tested.feed(Event::SendFailed { to: Side::Target });
    tested.feed(Event::ReceiveFailed { from: Side::Client });
    assert_eq!(tested.session.close_reason(), Some(CloseReason::ClientReset));
}

#[test]
fn a_half_closed_side_is_watched_to_the_end() {
    let side = Side::Client;
    for reset in [true, false] {
        let mut tested = Tested::connected();
        let ops = tested.feed(Event::EndOfStream { from: side });
        assert!(ops.contains(&Op::WatchLater), "{ops:?}");
        assert_eq!(tested.feed(Event::WatchDue), [Op::Watch { side }]);
        // The FIN itself: seen, but no news.
        assert_eq!(tested.feed(Event::Watched { side, error: false, more: true }), []);
        if reset {
            let ops = tested.feed(Event::Watched { side, error: true, more: true });
            let measure = Op::MeasureSendQueue { to: Side::Target, delay: Duration::ZERO };
            assert!(ops.contains(&measure), "{ops:?}");
            tested.feed(Event::SendQueue { to: Side::Target, bytes: 0 });
            tested.feed(Event::ReceiveStopped { from: Side::Target });
        } else {
            let ops = tested.feed(Event::EndOfStream { from: Side::Target });
            assert!(ops.contains(&Op::CancelWatch { side }), "{ops:?}");
        }
        let ops = tested.feed(Event::Watched { side, error: false, more: false });
        assert!(ops.contains(&Op::Close { side: Side::Target, reset }), "{ops:?}");
        assert!(ops.contains(&Op::Finish), "{ops:?}");
    }
}

#[test]
fn a_paused_side_is_watched_again_after_the_watch_found_nothing_to_do() {
    let mut tested = Tested::connected();
    let side = Side::Client;
    let ops = tested.receive(side, 1, true, false);
    assert!(ops.iter().any(|op| matches!(op, Op::Receive { .. })), "{ops:?}");
    assert!(tested.receive(side, 2, true, false).contains(&Op::WatchLater));
    // It goes on before the watch is due, and pauses anew later.
    tested.feed(Event::Sent { to: Side::Target, bytes: 10 });
    assert_eq!(tested.feed(Event::WatchDue), []);
    assert!(tested.receive(side, 3, true, false).contains(&Op::WatchLater));
    assert_eq!(tested.feed(Event::WatchDue), [Op::Watch { side }]);
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_after_five_seconds() {
    let mut tested = Tested::connected();
    tested.receive(Side::Client, 1, false, false);
    let mut ops = tested.feed(Event::ReceiveFailed { from: Side::Client }).to_vec();
    let mut waited = Duration::ZERO;
    while tested.session.close_reason().is_none() {
        let delay = ops.iter().find_map(|op| match op {
            Op::MeasureSendQueue { to: Side::Target, delay } => Some(*delay),
            _ => None,
        });
        waited += delay.expect("it is looked at again");
        ops = tested.feed(Event::SendQueue { to: Side::Target, bytes: 3 }).to_vec();
    }
    assert!((5000..5200).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(tested.session.close_reason(), Some(CloseReason::ClientReset));
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 200, "{}", size_of::<Session>());
}

#[test]
fn a_client_that_left_is_not_connected_for_again_when_its_connect_is_revoked() {
    let mut tested = Tested::accepted();
    tested.feed(Event::Abort(AbortReason::TargetWithdrawn));
    assert!(!tested.feed(Event::ConnectFailed).contains(&Op::Connect));
    tested.feed(Event::ReceiveStopped { from: Side::Client });
    assert!(tested.session.finished);
}

/// One that has answered a request.
fn rested() -> Tested {
    let mut tested = Tested::connected();
    tested.receive(Side::Client, 1, false, false);
    tested.feed(Event::Sent { to: Side::Target, bytes: 10 });
    tested.receive(Side::Target, 2, false, false);
    tested.feed(Event::Sent { to: Side::Client, bytes: 10 });
    tested
}

#[test]
fn who_rests_is_closed_for_rebalancing_by_fin_on_both_sides() {
    let mut tested = rested();
    let cancels = Side::BOTH.map(|from| Op::CancelReceive { from });
    assert_eq!(tested.feed(Event::Rebalance), cancels);
    tested.feed(Event::ReceiveStopped { from: Side::Target });
    assert_eq!(tested.feed(Event::ReceiveStopped { from: Side::Client }), [Op::Inspect]);
    let closes = Side::BOTH.map(|side| Op::Close { side, reset: false });
    let ops = tested.feed(Event::Inspected { is_empty: true });
    assert_eq!(ops, [closes[0], closes[1], Op::Finish]);
    assert_eq!(tested.session.close_reason(), Some(CloseReason::Rebalanced));
}

#[test]
fn who_awaits_an_answer_or_is_in_the_middle_of_something_is_not_closed_for_rebalancing() {
    let in_request = |tested: &mut Tested| {
        tested.receive(Side::Client, 3, false, false);
        tested.feed(Event::Sent { to: Side::Target, bytes: 10 });
    };
    let in_answer = |tested: &mut Tested| {
        tested.receive(Side::Target, 3, false, false);
    };
    let closing = |tested: &mut Tested| {
        tested.feed(Event::EndOfStream { from: Side::Target });
    };
    for busy in [in_request as fn(&mut Tested), in_answer, closing] {
        let mut tested = rested();
        busy(&mut tested);
        assert!(!tested.session.is_at_rest());
        assert!(tested.feed(Event::Rebalance).is_empty());
        assert!(!tested.session.is_rebalancing());
    }
    assert!(!Tested::accepted().session.is_at_rest(), "there is no target yet");
    assert!(Tested::connected().session.is_at_rest(), "nobody waits for anything");
}

#[test]
fn what_comes_while_one_is_closed_for_rebalancing_is_passed_on_and_it_stays() {
    let mut tested = rested();
    tested.feed(Event::Rebalance);
    let ops = tested.receive(Side::Client, 3, false, false);
    assert!(ops.contains(&Op::Send { to: Side::Target, piece: piece(3) }), "{ops:?}");
    let again = tested.feed(Event::ReceiveStopped { from: Side::Target });
    assert!(matches!(again, [Op::Receive { from: Side::Target, .. }]), "{again:?}");

    let mut tested = rested();
    tested.feed(Event::Rebalance);
    for from in Side::BOTH {
        tested.feed(Event::ReceiveStopped { from });
    }
    let ops = tested.feed(Event::Inspected { is_empty: false });
    assert!(ops.iter().all(|op| matches!(op, Op::Receive { .. })) && ops.len() == 2, "{ops:?}");
    assert!(tested.session.close_reason().is_none() && !tested.session.is_rebalancing());
}
