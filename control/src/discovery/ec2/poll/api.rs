use std::future::Future;

use crate::discovery::ec2::fault::Fault;

/// The two questions that are asked, a page at a time. What answers them is AWS, or a test.
pub(in crate::discovery::ec2) trait Api {
    /// The members of the Auto Scaling Group `name`.
    fn members(
        &self,
        name: &str,
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<AutoScalingGroup>, Fault>> + Send;

    /// The instances that pass `filter`.
    fn instances(
        &self,
        filter: &Filter,
        token: Option<String>,
    ) -> impl Future<Output = Result<Page<Instance>, Fault>> + Send;
}

/// A part of an answer.
#[derive(Clone, Debug)]
pub(in crate::discovery::ec2) struct Page<T> {
    pub(in crate::discovery::ec2) items: Vec<T>,
    /// What asks for the next part; none with the last.
    pub(in crate::discovery::ec2) next: Option<String>,
}

/// An Auto Scaling Group.
#[derive(Clone, Debug)]
pub(in crate::discovery::ec2) struct AutoScalingGroup {
    pub(in crate::discovery::ec2) members: Vec<GroupMember>,
}

/// An instance as its Auto Scaling Group sees it.
#[derive(Clone, Debug)]
pub(in crate::discovery::ec2) struct GroupMember {
    pub(in crate::discovery::ec2) id: String,
    pub(in crate::discovery::ec2) in_service: bool,
}

/// An instance as EC2 sees it. Its texts are as they came.
#[derive(Clone, Debug)]
pub(in crate::discovery::ec2) struct Instance {
    pub(in crate::discovery::ec2) id: String,
    pub(in crate::discovery::ec2) running: bool,
    pub(in crate::discovery::ec2) address: Option<String>,
    pub(in crate::discovery::ec2) zone: Option<String>,
}

/// A filter of `DescribeInstances`: an instance passes that has one of the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::discovery::ec2) struct Filter {
    pub(in crate::discovery::ec2) name: String,
    /// Never empty: that would ask for nothing, or for everything.
    pub(in crate::discovery::ec2) values: Vec<String>,
}
