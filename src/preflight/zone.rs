use std::sync::Arc;

use control::zone::{ZoneSettings, ask_once};
use exchange::Target;

use super::findings::{Check, Findings};

/// The zone that the balancer would prefer, if it is known.
pub(super) fn own(settings: &ZoneSettings, findings: &mut Findings) -> Option<Arc<str>> {
    match settings {
        ZoneSettings::Ignored => None,
        ZoneSettings::Known(zone) => Some(Arc::clone(zone)),
        ZoneSettings::Metadata(endpoint) => match ask_once(endpoint) {
            Ok(zone) => Some(zone),
            Err(reason) => {
                findings.warning(Check::Zone, None, reason);
                None
            }
        },
    }
}

/// Whether any of `targets` is in the `own` zone.
pub(super) fn note_near(own: &str, targets: &[Target], findings: &mut Findings) {
    let near = targets.iter().filter(|target| target.zone.as_deref() == Some(own)).count();
    let detail = format!("\"{own}\": {near} of {} targets are there", targets.len());
    if near == 0 {
        let detail = format!("{detail}, so no zone is preferred; check AVAILABILITY_ZONE");
        findings.warning(Check::Zone, None, detail);
    } else {
        findings.ok(Check::Zone, None, detail);
    }
}
