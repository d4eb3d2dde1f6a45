use super::machine;
use super::report::{Check, Report};
use crate::config::ParsedValues;

/// What the kernel must grant.
pub(super) fn examine(values: &ParsedValues, report: &mut Report) {
    // How much there has to be depends on them.
    let Some(cores) = values.cores else { return };
    let found = machine::examine(cores);
    let was_tried = found.kernel.is_ok();
    let release = found.kernel.map(|release| format!("Linux {}", release.escape_debug()));
    note(report, Check::Kernel, release);
    if was_tried {
        note(report, Check::IoUring, found.io_uring.map(|()| "can be used".to_owned()));
    }
    let memlock = found.memlock.map(|limit| match limit {
        Some(bytes) => format!("limit {bytes} bytes"),
        None => "no limit".to_owned(),
    });
    note(report, Check::Memlock, memlock);
    let nofile = found.nofile.and_then(|capacity| {
        let problem = values.connections.and_then(|wanted| capacity.limit_problem(wanted, cores));
        problem.map_or(Ok(capacity), |problem| Err(problem.to_string()))
    });
    match nofile.map(|capacity| capacity.line(values.connections)) {
        Ok((log::Level::Warn, detail)) => report.warning(Check::Nofile, None, detail),
        nofile => note(report, Check::Nofile, nofile.map(|(_, detail)| detail)),
    }
}

fn note(report: &mut Report, check: Check, result: Result<String, String>) {
    match result {
        Ok(detail) => report.ok(check, None, detail),
        Err(detail) => report.failure(check, None, detail),
    }
}
