use std::fmt;

use crate::log_lines::escaped::Quoted;

/// What makes an instance a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is running and has this tag.
    Tag {
        /// The tag's name.
        name: String,
        /// The tag's value; AWS takes `*` and `?` as wildcards.
        value: String,
    },
    /// It is running and a member of this Auto Scaling Group, in service.
    Asg {
        /// The group's name.
        name: String,
    },
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { name, value } => {
                write!(f, "the instances with the tag {}={}", Quoted(name), Quoted(value))
            }
            Self::Asg { name } => {
                write!(f, "the members of the Auto Scaling Group {}", Quoted(name))
            }
        }
    }
}
