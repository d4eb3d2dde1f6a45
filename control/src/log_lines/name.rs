use exchange::Target;

use super::escaped::Escaped;
use crate::policy::identity::Identity;

/// What a target is called in log lines.
pub(super) fn name(target: &Target) -> String {
    name_of(&Identity::of(target))
}

/// The address, and the id where that is another.
pub(crate) fn name_of(target: &Identity) -> String {
    let address = target.address.to_string();
    if target.id.as_str() == address {
        address
    } else {
        format!("{address} ({})", Escaped(target.id.as_str()))
    }
}
