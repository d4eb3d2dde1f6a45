use super::inherited::Inherited;
use super::supervision::Supervision;
use crate::config::Problem;

/// Who has started the process, and with what.
#[derive(Debug, Default)]
pub(crate) struct Origin {
    /// What a service manager wants to hear.
    pub(crate) supervision: Supervision,
    /// Where clients connect, if that was passed.
    pub(crate) inherited: Option<Inherited>,
}

impl Origin {
    /// That of this process, and what is wrong with it.
    pub(crate) fn of_process() -> (Self, Vec<Problem>) {
        let (supervision, mut problems) = match Supervision::of_process() {
            Ok(supervision) => (supervision, Vec::new()),
            Err(error) => (Supervision::default(), error.0),
        };
        let inherited = Inherited::of(&supervision).unwrap_or_else(|error| {
            problems.extend(error.0);
            None
        });
        (Self { supervision, inherited }, problems)
    }
}
