use crate::flow::{Piece, Side};
use crate::session::{Event, Op, Session};

/// Whether a session counts as unanswered after these events.
fn is_unanswered(events: &[Event]) -> bool {
    let mut ops: Vec<Op> = Vec::new();
    let mut session = Session::accepted(&mut ops);
    session.handle(Event::Connected, &mut ops);
    for &event in events {
        session.handle(event, &mut ops);
    }
    session.relay().is_unanswered()
}

#[test]
fn what_a_target_is_first_to_end_without_a_byte_is_unanswered() {
    use Side::{Client, Target};
    let fin = |from| Event::EndOfStream { from };
    let reset = |from| Event::ReceiveFailed { from };
    let said = |from| {
        let piece = Piece { buffer: 1, start: 0, end: 1 };
        Event::Received { from, piece, full: false, more: false }
    };
    assert!(!is_unanswered(&[]));
    assert!(is_unanswered(&[fin(Target)]));
    assert!(is_unanswered(&[fin(Target), fin(Client)]));
    assert!(is_unanswered(&[said(Client), fin(Target)]));
    assert!(is_unanswered(&[said(Client), reset(Target)]));
    assert!(is_unanswered(&[said(Client), Event::SendFailed { to: Target }]));
    assert!(!is_unanswered(&[said(Target), fin(Target)]), "it has said something");
    assert!(!is_unanswered(&[Event::SendFailed { to: Target }, said(Target)]));
    assert!(!is_unanswered(&[fin(Client), fin(Target)]), "the client wanted nothing more");
    assert!(!is_unanswered(&[reset(Client), reset(Target)]));
    assert!(!is_unanswered(&[fin(Client), reset(Target)]));
}
