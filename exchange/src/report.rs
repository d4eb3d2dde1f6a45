use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::channel::Waker;
use crate::service::ServiceIndex;
use crate::target::Target;

/// Reports under way; what finds the queue full is put together at its core until there is room.
const QUEUE: usize = 1024;

/// Connects of one target that failed or took too long. What failed before a success is not in a row
/// with what fails after it. Connects that succeed are only counted ([`crate::TargetCounters`]).
#[derive(Clone, Debug)]
pub struct Report {
    /// For which service.
    pub service: ServiceIndex,
    /// The target that was connected.
    pub target: Arc<Target>,
    /// How many connects.
    pub count: u32,
    /// [`crate::TargetCounters::connected`] when the last of them failed.
    pub successes: u64,
    /// What the last of them failed with.
    pub error: io::ErrorKind,
}

/// Makes the channel by which `cores` cores report.
///
/// # Errors
/// When the eventfd cannot be made (descriptors have run out).
pub fn reports(cores: usize) -> io::Result<(Vec<Reporter>, Reports)> {
    let (sender, receiver) = bounded(QUEUE);
    let waker = Waker::nonblocking()?;
    let reporter = || Reporter { sender: sender.clone(), waker: waker.clone(), unsent: Vec::new() };
    Ok(((0..cores).map(|_| reporter()).collect(), Reports { receiver, waker }))
}

/// The sending end; belongs to one core.
#[derive(Debug)]
pub struct Reporter {
    sender: Sender<Report>,
    waker: Waker,
    /// What found the queue full: at most one report for each target.
    unsent: Vec<Report>,
}

impl Reporter {
    /// Sends `report`, now or with a later [`Reporter::flush`]. Never blocks, loses nothing.
    pub fn report(&mut self, report: Report) {
        self.keep(report);
        self.flush();
    }

    /// Sends what found the queue full before, as far as there is room.
    pub fn flush(&mut self) {
        let mut has_sent = false;
        while let Some(report) = self.unsent.pop() {
            match self.sender.try_send(report) {
                Ok(()) => has_sent = true,
                Err(TrySendError::Full(report)) => {
                    self.unsent.push(report);
                    break;
                }
                // The control plane has ended: nobody wants to know.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
        if has_sent {
            self.waker.wake();
        }
    }

    /// Adds `report` to what is to be sent, put together with an earlier one of its target.
    fn keep(&mut self, report: Report) {
        let is_alike = |old: &&mut Report| Arc::ptr_eq(&old.target, &report.target);
        let Some(old) = self.unsent.iter_mut().find(is_alike) else {
            self.unsent.push(report);
            return;
        };
        // A success in between: the earlier ones don't matter any more.
        let is_in_a_row = old.successes == report.successes;
        let earlier = if is_in_a_row { old.count } else { 0 };
        *old = Report { count: earlier.saturating_add(report.count), ..report };
    }
}

/// The receiving end; belongs to the control plane.
#[derive(Debug)]
pub struct Reports {
    receiver: Receiver<Report>,
    waker: Waker,
}

impl Reports {
    /// The next report, if there is one.
    pub fn next(&self) -> Option<Report> {
        self.receiver.try_recv().ok()
    }
}

impl AsFd for Reports {
    /// A non-blocking eventfd: readable, 8 bytes, when reports came.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(target: &Arc<Target>, count: u32, successes: u64) -> Report {
        let error = io::ErrorKind::ConnectionRefused;
        let service = ServiceIndex::default();
        Report { service, target: Arc::clone(target), count, successes, error }
    }

    fn target(port: u16) -> Arc<Target> {
        Arc::new(Target::at(([127, 0, 0, 1], port).into()))
    }

    #[test]
    fn a_full_queue_loses_no_failure() {
        let (mut reporters, reports) = reports(1).unwrap();
        let reporter = &mut reporters[0];
        let (one, other) = (target(1), target(2));
        let all = u32::try_from(QUEUE).unwrap() + 500;
        for _ in 0..all {
            reporter.report(failed(&one, 1, 0));
        }
        reporter.report(failed(&other, 7, 0));
        assert_eq!(reporter.unsent.len(), 2, "put together");
        let mut received: Vec<_> = std::iter::from_fn(|| reports.next()).collect();
        reporter.flush();
        received.extend(std::iter::from_fn(|| reports.next()));
        let count = |target: &Arc<Target>| {
            let theirs = received.iter().filter(|report| Arc::ptr_eq(&report.target, target));
            theirs.map(|report| report.count).sum::<u32>()
        };
        assert_eq!([count(&one), count(&other)], [all, 7]);
    }

    #[test]
    fn what_failed_before_a_success_is_not_added_to_what_fails_after_it() {
        let (mut reporters, reports) = reports(1).unwrap();
        let one = target(1);
        for _ in 0..QUEUE {
            reporters[0].report(failed(&one, 1, 0));
        }
        reporters[0].report(failed(&one, 1, 0));
        reporters[0].report(failed(&one, 1, 7));
        let error = io::ErrorKind::TimedOut;
        reporters[0].report(Report { error, ..failed(&one, 1, 7) });
        while reports.next().is_some() {}
        reporters[0].flush();
        let last = reports.next().unwrap();
        assert_eq!((last.count, last.successes, last.error), (2, 7, error));
        assert!(reports.next().is_none());
    }

    #[test]
    fn reporting_makes_the_eventfd_readable_and_reading_it_does_not_block() {
        let (mut reporters, reports) = reports(2).unwrap();
        let mut count = [0; 8];
        assert!(rustix::io::read(&reports, &mut count).is_err(), "would block");
        reporters[1].report(failed(&target(1), 1, 0));
        assert_eq!(rustix::io::read(&reports, &mut count).unwrap(), 8);
    }

    #[test]
    fn a_control_plane_that_has_ended_costs_nothing() {
        let (mut reporters, reports) = reports(1).unwrap();
        drop(reports);
        reporters[0].report(failed(&target(1), 1, 0));
        assert!(reporters[0].unsent.is_empty());
    }
}
