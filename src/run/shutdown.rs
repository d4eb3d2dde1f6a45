use std::process;
use std::time::{Duration, Instant};

use dataplane::DataPlane;
use exchange::CoreCounters;
use tokio::sync::oneshot;

use crate::exit;
use crate::signals::{EndSignal, Received, Signals};

/// A signal that comes again within this time was meant once: a terminal and a wrapper may both pass
/// it on.
const REPEAT: Duration = Duration::from_millis(200);

/// How much longer than `SHUTDOWN_TIMEOUT` the cores may take to reset what is left, and end. It is
/// they who heed that timeout: one that is stuck must not keep the process for ever.
const CORES_END_TIMEOUT: Duration = Duration::from_secs(5);

/// A core whose loop does not turn for so long stands still.
const STILL: Duration = Duration::from_secs(1);

/// Why the process ends without waiting for its cores.
#[derive(Debug)]
pub(super) enum ForcedExit {
    /// The second one.
    Signal(EndSignal),
    /// The cores have not ended in time; the numbers of those that stand still.
    Stuck(Vec<usize>),
}

impl ForcedExit {
    /// Ends the process.
    pub(super) fn exit(&self) -> ! {
        match self {
            Self::Signal(signal) => {
                log::warn!("{}: second signal, open connections are cut", signal.name());
                process::exit(signal.exit_code())
            }
            Self::Stuck(cores) => {
                log::error!(
                    "the cores have not ended {CORES_END_TIMEOUT:?} after SHUTDOWN_TIMEOUT (standing \
                     still: {cores:?}): open connections are cut"
                );
                process::exit(exit::STUCK.into())
            }
        }
    }
}

/// The longest that [`end`] takes, with this time for open connections.
pub(super) fn longest(timeout: Duration) -> Duration {
    timeout + CORES_END_TIMEOUT + STILL
}

/// Accepts no client any more and lets the open connections end within `timeout`. Returns how many had
/// to be reset.
pub(super) async fn end(
    dataplane: DataPlane,
    counters: &[CoreCounters],
    timeout: Duration,
) -> Result<u64, ForcedExit> {
    let open: u64 = counters.iter().map(CoreCounters::active).sum();
    log::info!(
        "no client is accepted any more; {open} open connections may go on for {timeout:?} \
         (SHUTDOWN_TIMEOUT)"
    );
    dataplane.stop_accepting();
    let (tell, joined) = oneshot::channel();
    let join = move || {
        // Nobody listens only if the process is ending anyway.
        let _ = tell.send(dataplane.join());
    };
    match std::thread::Builder::new().name("join".to_owned()).spawn(join) {
        Ok(_) => {
            let timeout = timeout + CORES_END_TIMEOUT;
            match tokio::time::timeout(timeout, joined).await {
                // An error would mean that the thread panicked, which ends the process.
                Ok(joined) => Ok(joined.unwrap_or_default()),
                Err(_) => Err(stuck(counters).await),
            }
        }
        Err(error) => {
            log::error!("open connections are cut: no thread to wait on: {error}");
            Ok(open)
        }
    }
}

/// Cores wait for each other in the end: whose fault it is, only standing still tells.
async fn stuck(counters: &[CoreCounters]) -> ForcedExit {
    let turns: Vec<_> = counters.iter().map(|core| core.iterations.get()).collect();
    tokio::time::sleep(STILL).await;
    let cores = counters.iter().zip(turns).enumerate();
    let still =
        cores.filter(|(_, (core, turns))| core.ended.get() == 0 && core.iterations.get() == *turns);
    ForcedExit::Stuck(still.map(|(number, _)| number).collect())
}

/// Waits for the signal that cuts the graceful end short. `first` is the one that began it.
pub(super) async fn second_end(signals: &mut Signals, first: EndSignal) -> EndSignal {
    let began = Instant::now();
    loop {
        if let Received::End(signal) = signals.next().await
            && (signal != first || began.elapsed() >= REPEAT)
        {
            return signal;
        }
    }
}
