use control::zone::{Endpoint, Settings, parse_name};

use crate::config::reader::Reader;
use crate::config::table::{self as var, Raw};
use crate::config::value;

/// Which zone the balancer is in, if that is to be heeded.
pub(in crate::config) fn settings(raw: &Raw, read: &mut Reader) -> Option<Settings> {
    let is_aware = read.value(var::ZONE_AWARE, raw.zone_aware.as_deref(), value::boolean);
    let zone = raw.availability_zone.as_deref();
    let zone = read.optional(var::AVAILABILITY_ZONE, zone, parse_name);
    let text = raw.aws_ec2_metadata_service_endpoint.as_deref();
    let endpoint = read.value(var::AWS_EC2_METADATA_SERVICE_ENDPOINT, text, value::own::<Endpoint>);
    let text = raw.aws_ec2_metadata_disabled.as_deref();
    // The AWS SDKs, whose variable it is, take any case.
    let boolean = |text: &str| value::boolean(&text.to_ascii_lowercase());
    let is_disabled = read.value(var::AWS_EC2_METADATA_DISABLED, text, boolean);
    match (is_aware?, zone?) {
        (false, _) => Some(Settings::Ignored),
        (true, Some(zone)) => Some(Settings::Known(zone)),
        (true, None) if is_disabled? => {
            let reason = "is not set, and ZONE_AWARE=true needs it where \
                          AWS_EC2_METADATA_DISABLED=true; accepted: the name of the zone that the \
                          balancer is in, such as eu-west-1a";
            read.refuse(var::AVAILABILITY_ZONE, None, reason);
            None
        }
        (true, None) => endpoint.map(Settings::Metadata),
    }
}
