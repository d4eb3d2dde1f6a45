use control::zone::ZoneSettings;

use crate::config::reader::Reader;
use crate::config::table as var;

/// Which zone the balancer is in, if that is to be heeded.
pub(super) fn settings(read: &mut Reader<'_>) -> Option<ZoneSettings> {
    let is_aware = read.value(&var::ZONE_AWARE)?;
    match read.value(&var::AVAILABILITY_ZONE)? {
        _ if !is_aware => Some(ZoneSettings::Ignored),
        Some(zone) => Some(ZoneSettings::Known(zone)),
        None if read.value(&var::AWS_EC2_METADATA_DISABLED)? => {
            let reason = "is not set, and ZONE_AWARE=true needs it where \
                          AWS_EC2_METADATA_DISABLED=true; accepted: the name of the zone that the \
                          balancer is in, such as eu-west-1a";
            read.refuse(&var::AVAILABILITY_ZONE, reason);
            None
        }
        None => read.value(&var::AWS_EC2_METADATA_SERVICE_ENDPOINT).map(ZoneSettings::Metadata),
    }
}
