/// Whether errors are watched for on a side that nothing is received from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::session) enum Watch {
    #[default]
    Off,
    On,
    /// In flight, and its cancellation was asked for.
    Cancelling,
}
