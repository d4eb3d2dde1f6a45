use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use exchange::{CoreCounters, Reporter, Subscriber, Waker};
use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};

use crate::limits::Admission;
use crate::limits::rejection_log::RejectionLog;
use crate::settings::Settings;
use crate::sys::listener::Listener;
use crate::worker::CoreBalancer;
use crate::worker::Lifecycle;
use crate::worker::PauseLog;
use crate::worker::{Parts, Worker};

/// The executor's own ring and memory are for what the worker's ring doesn't do: next to nothing.
const EXECUTOR_RING_DEPTH: usize = 4;
const EXECUTOR_IO_MEMORY_BYTES: usize = 64 * 1024;
/// Log lines about accepting having paused come no faster than this, all cores together.
const PAUSE_LOG_INTERVAL: Duration = Duration::from_mins(1);
/// Log lines about rejected connections come no faster than this for each reason.
const REJECTION_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long a worker works at most before maintenance gets its turn.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(1);
/// The executor has one task, which never gives way: nobody is to be preempted. What matters is that
/// the timer does not end before the task begins.
const PREEMPT_TIMER: Duration = Duration::from_hours(24);

/// One core's share of the data plane.
#[derive(Debug)]
pub struct CoreSetup {
    /// The CPU to pin to, as the kernel numbers them.
    pub cpu: usize,
    /// Where its clients come from, by service.
    pub listeners: Vec<Listener>,
    /// Where its snapshots come from, by service.
    pub subscribers: Vec<Subscriber>,
    /// Where its failed connects are told.
    pub reporter: Reporter,
}

/// Why the data plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The executor's thread or its rings could not be made.
    #[error("no executor on CPU {cpu}: {reason}")]
    Executor {
        /// The CPU that it was meant for.
        cpu: usize,
        /// What the executor says.
        reason: String,
        /// The kernel's error number, where it is the kernel that refuses.
        errno: Option<i32>,
    },
    /// The worker's ring could not be made, or its descriptors have run out.
    #[error("no io_uring on CPU {cpu}: {error}")]
    Ring {
        /// The CPU that it was meant for.
        cpu: usize,
        /// What the kernel says.
        error: io::Error,
    },
}

impl StartError {
    /// Whether there is no memory for a ring: usually, no more of it may be locked.
    pub fn is_out_of_memory(&self) -> bool {
        let errno = match self {
            Self::Executor { errno, .. } => *errno,
            Self::Ring { error, .. } => error.raw_os_error(),
        };
        errno == Some(rustix::io::Errno::NOMEM.raw_os_error())
    }
}

/// The data plane, ready or running: a thread per core.
#[derive(Debug)]
pub struct DataPlane {
    threads: Vec<Thread>,
    /// The listeners of all cores and services, until they listen.
    listeners: Vec<Listener>,
    backlog: u32,
    lifecycle: Arc<Lifecycle>,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<u64>,
    waker: Waker,
    go: SyncSender<()>,
}

impl DataPlane {
    /// Starts an executor per core, core `n` writing to `counters[n]`, and returns when each has
    /// its ring. None does anything before [`DataPlane::run`], and no listener listens before
    /// [`DataPlane::listen`].
    ///
    /// # Errors
    /// When an executor or a ring cannot be made; threads that were started end.
    ///
    /// # Panics
    /// When there are fewer counters than cores, or a core lacks something for a service.
    pub fn start(
        settings: &Settings,
        cores: Vec<CoreSetup>,
        counters: &Arc<[CoreCounters]>,
    ) -> Result<Self, StartError> {
        assert!(cores.len() <= counters.len(), "every core has its counters");
        let lifecycle = Arc::new(Lifecycle::default());
        let pause_log = Arc::new(PauseLog::new(PAUSE_LOG_INTERVAL));
        let rejection_log = Arc::new(RejectionLog::new(REJECTION_LOG_INTERVAL));
        let admission = Arc::new(Admission::new(&settings.limits));
        let mut threads = Vec::with_capacity(cores.len());
        let mut listeners = Vec::with_capacity(cores.len());
        let mut ready = Vec::with_capacity(cores.len());
        let wakers = cores.iter().map(|core| core.subscribers[0].waker().clone()).collect();
        let cores = cores.into_iter().zip(CoreBalancer::between(wakers)).enumerate();
        for (number, (CoreSetup { cpu, listeners: own, subscribers, reporter }, balancer)) in cores
        {
            let services = settings.services.len();
            let counted = counters[number].services().len();
            assert_eq!([own.len(), subscribers.len(), counted], [services; 3], "for each service");
            for listener in &own {
                let clone = listener.try_clone();
                listeners.push(clone.map_err(|error| StartError::Ring { cpu, error })?);
            }
            let parts = Parts {
                settings: settings.clone(),
                core: number,
                listeners: own,
                balancer,
                subscribers,
                reporter,
                lifecycle: Arc::clone(&lifecycle),
                pause_log: Arc::clone(&pause_log),
                rejection_log: Arc::clone(&rejection_log),
                admission: Arc::clone(&admission),
                counters: Arc::clone(counters),
            };
            let (thread, answer) = start_core(cpu, parts)?;
            threads.push(thread);
            ready.push(answer);
        }
        for answer in ready {
            answer.recv().expect("a core answers before it ends")?;
        }
        Ok(Self { threads, listeners, backlog: settings.listen_backlog, lifecycle })
    }

    /// Lets the cores take snapshots and do what follows from them.
    pub fn run(&self) {
        for thread in &self.threads {
            // It fails if the core runs already, or is gone, which ends the process anyhow.
            let _ = thread.go.try_send(());
        }
    }

    /// Makes every listener listen; the cores accept as soon as a snapshot lets clients in.
    ///
    /// # Errors
    /// As listen(2): another program has begun to listen on the address since it was bound.
    pub fn listen(&mut self) -> io::Result<()> {
        for listener in self.listeners.drain(..) {
            listener.listen(self.backlog)?;
        }
        self.lifecycle.start_accepting();
        self.wake_all();
        Ok(())
    }

    /// Starts the graceful end: cores stop accepting once they have taken what is queued; live
    /// sessions go on until they finish or [`Settings::shutdown_timeout`] is over. Returns at once.
    pub fn stop_accepting(&self) {
        self.lifecycle.stop_accepting();
        self.wake_all();
    }

    fn wake_all(&self) {
        for thread in &self.threads {
            thread.waker.wake();
        }
    }

    /// Waits until every core has finished, which happens only after [`Self::stop_accepting`].
    /// Returns how many connections had to be reset because [`Settings::shutdown_timeout`] was
    /// over.
    pub fn join(self) -> u64 {
        // An error is a panic, which has ended the process.
        self.threads.into_iter().map(|thread| thread.handle.join().unwrap_or_default()).sum()
    }
}

type Answer = Receiver<Result<(), StartError>>;

fn start_core(cpu: usize, parts: Parts) -> Result<(Thread, Answer), StartError> {
    let waker = parts.subscribers[0].waker().clone();
    let (go, may_go) = sync_channel(1);
    let (answer, answered) = sync_channel(1);
    let handle = std::thread::Builder::new()
        .name(format!("core-{cpu}"))
        .spawn(move || match Executor::make(cpu, parts) {
            Ok(executor) => {
                let _ = answer.send(Ok(()));
                // An error: the start was given up.
                if may_go.recv().is_ok() { executor.run() } else { 0 }
            }
            Err(error) => {
                let _ = answer.send(Err(error));
                0
            }
        })
        .map_err(|error| StartError::Executor {
            cpu,
            reason: error.to_string(),
            errno: error.raw_os_error(),
        })?;
    Ok((Thread { handle, waker, go }, answered))
}

struct Executor {
    executor: glommio::LocalExecutor,
    worker: Worker,
}

impl Executor {
    fn make(cpu: usize, parts: Parts) -> Result<Self, StartError> {
        let executor = LocalExecutorBuilder::new(Placement::Fixed(cpu))
            .ring_depth(EXECUTOR_RING_DEPTH)
            .io_memory(EXECUTOR_IO_MEMORY_BYTES)
            .preempt_timer(PREEMPT_TIMER)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .make()
            .map_err(|error| StartError::Executor {
                cpu,
                reason: error.to_string(),
                errno: error.raw_os_error(),
            })?;
        let worker = Worker::new(parts).map_err(|error| StartError::Ring { cpu, error })?;
        Ok(Self { executor, worker })
    }

    /// Returns how many connections had to be reset at the end.
    fn run(mut self) -> u64 {
        self.executor.run(async move {
            let worker = &mut self.worker;
            let mut maintained = Instant::now();
            // One task that never gives way: the wait inside is the core's park. The executor's own
            // may sleep although a task is ready, if its preemption timer ends before one is run.
            while !worker.is_done() {
                let maintenance_is_due = worker.turn();
                if maintenance_is_due || maintained.elapsed() >= MAINTENANCE_INTERVAL {
                    worker.maintain();
                    maintained = Instant::now();
                }
            }
            worker.submit_rest();
            worker.aborted()
        })
    }
}
