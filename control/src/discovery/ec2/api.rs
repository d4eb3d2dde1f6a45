use std::future::Future;

use super::Fault;

/// The two questions that are asked, a page at a time. What answers them is AWS, or a test.
pub(super) trait Api {
    /// The members of the Auto Scaling Group `name`.
    fn members(
        &self,
        name: &str,
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<Group>, Fault>> + Send;

    /// The instances that pass `filter`.
    fn instances(
        &self,
        filter: &Filter,
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<Instance>, Fault>> + Send;
}

/// A part of an answer.
#[derive(Clone, Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// What asks for the next part; none with the last.
    pub(super) next: Option<String>,
}

/// An Auto Scaling Group.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) members: Vec<Member>,
}

/// An instance as its Auto Scaling Group sees it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) in_service: bool,
}

/// An instance as EC2 sees it. Its texts are as they came.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) id: String,
    pub(super) running: bool,
    pub(super) address: Option<String>,
    pub(super) zone: Option<String>,
}

/// A filter of `DescribeInstances`: an instance passes that has one of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    /// Never empty: that would ask for nothing, or for everything.
    pub(super) values: Vec<String>,
}
