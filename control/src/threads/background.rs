//! Work that has time: on threads that run when nobody else wants to.

use std::io;
use std::thread;

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// What a thread gets of a CPU that others want too (sched(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// As much as any other.
    Ordinary,
    /// 1.4 % (nice 19). Who wakes up may still have to wait for the thread's slice to end, or for
    /// the next tick: that is how newer kernels share (EEVDF, since 6.6).
    Low,
    /// 0.3 %, and nobody who wakes up waits for it (`SCHED_IDLE`). There is no way back from it
    /// without privileges, and on CPUs that are busy for good it takes 300 times as long.
    #[cfg_attr(not(any(test, feature = "aws")), expect(dead_code, reason = "only AWS is asked so"))]
    Idle,
}

/// Starts a thread; those that `work` starts are of the same priority.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn spawn(
    name: &str,
    priority: Priority,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let run = move || {
        // Where that is forbidden (seccomp), the work is done all the same.
        if let Err(error) = lower(priority) {
            log::debug!("a thread stays at the priority of its process: {error}");
        }
        work();
    };
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop)
}

fn lower(priority: Priority) -> Result<(), thread_priority::Error> {
    let policy = match priority {
        Priority::Ordinary => return Ok(()),
        Priority::Low => NormalThreadSchedulePolicy::Other,
        Priority::Idle => NormalThreadSchedulePolicy::Idle,
    };
    let policy = ThreadSchedulePolicy::Normal(policy);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use thread_priority::thread_schedule_policy;

    use super::*;

    /// The policy and the nice value of the thread that asks.
    fn seen_policy() -> (ThreadSchedulePolicy, i32) {
        let nice = rustix::process::getpriority_process(None).unwrap();
        (thread_schedule_policy().unwrap(), nice)
    }

    #[test]
    fn only_the_thread_that_is_started_is_below_the_others() {
        let before = seen_policy();
        let seen = |priority| {
            let (sender, receiver) = mpsc::channel();
            let look = move || {
                let inherited = thread::spawn(seen_policy).join().unwrap();
                sender.send((seen_policy(), inherited)).unwrap();
            };
            spawn("test", priority, look).unwrap();
            receiver.recv().unwrap()
        };
        let normal = ThreadSchedulePolicy::Normal;
        assert_eq!(seen(Priority::Ordinary), (before, before));
        let low = (normal(NormalThreadSchedulePolicy::Other), 19);
        assert_eq!(seen(Priority::Low), (low, low));
        let idle = seen(Priority::Idle);
        assert_eq!(idle.0.0, normal(NormalThreadSchedulePolicy::Idle));
        assert_eq!(idle.1.0, normal(NormalThreadSchedulePolicy::Idle));
        assert_eq!(seen_policy(), before);
    }
}
