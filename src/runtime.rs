use tokio::runtime::{Builder, Runtime};

/// What blocks are shallow calls: the default of 2 MiB per thread would only cost address space.
const BLOCKING_STACK_BYTES: usize = 256 * 1024;

/// The runtime of the control plane.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(control::MAX_BLOCKING_THREADS)
        .thread_stack_size(BLOCKING_STACK_BYTES)
        .build()
}
