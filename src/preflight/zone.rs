use std::sync::Arc;

use control::zone::{Settings, ask_once};
use exchange::Target;

use super::report::{Check, Report};

/// The zone that the balancer would prefer, if it is known.
pub(super) fn own(settings: &Settings, report: &mut Report) -> Option<Arc<str>> {
    match settings {
        Settings::Ignored => None,
        Settings::Known(zone) => Some(Arc::clone(zone)),
        Settings::Metadata(endpoint) => match ask_once(endpoint) {
            Ok(zone) => Some(zone),
            Err(reason) => {
                report.warning(Check::Zone, None, reason);
                None
            }
        },
    }
}

/// Whether any of `targets` is in the `own` zone.
pub(super) fn judge(own: &str, targets: &[Target], report: &mut Report) {
    let near = targets.iter().filter(|target| target.zone.as_deref() == Some(own)).count();
    let detail = format!("\"{own}\": {near} of {} targets are there", targets.len());
    if near == 0 {
        let detail = format!("{detail}, so no zone is preferred; check AVAILABILITY_ZONE");
        report.warning(Check::Zone, None, detail);
    } else {
        report.ok(Check::Zone, None, detail);
    }
}
