use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;

use exchange::{Report, Reports};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::controller::event::Event;

/// Most reports that make one event.
const BATCH_MAX: usize = 256;

/// What the cores signal when they have reported: an eventfd (eventfd(2)).
#[derive(Debug)]
pub(crate) struct Wakes(AsyncFd<File>);

impl Wakes {
    /// Must be called inside a tokio runtime with I/O enabled.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub(crate) fn of(reports: &Reports) -> io::Result<Self> {
        let eventfd = File::from(reports.as_fd().try_clone_to_owned()?);
        #[allow(deprecated, reason = "sound for a file: it never comes to mean another descriptor")]
        let eventfd = AsyncFd::with_interest(eventfd, Interest::READABLE)?;
        Ok(Self(eventfd))
    }

    async fn next(&self) -> io::Result<()> {
        // What it counts does not matter, only that it is 0 again: reports that come from now on
        // wake anew.
        let mut count = [0; 8];
        let read = self.0.async_io(Interest::READABLE, |mut eventfd| eventfd.read(&mut count));
        read.await.map(drop)
    }
}

/// Hands reports to the controller as they come, in batches. While it is busy they wait in their
/// queue, and where that is full at the cores, put together: all of it is bounded.
pub(crate) async fn pass_on(wakes: Wakes, reports: Reports, events: mpsc::Sender<Event>) {
    loop {
        let batch: Vec<Report> = std::iter::from_fn(|| reports.next()).take(BATCH_MAX).collect();
        if !batch.is_empty() {
            if events.send(Event::Reported(batch)).await.is_err() {
                return;
            }
        } else if let Err(error) = wakes.next().await {
            // Reading an eventfd fails only for reasons of our own making.
            log::error!("circuit breakers are blind: reading the cores' reports: {error}");
            return;
        }
    }
}
