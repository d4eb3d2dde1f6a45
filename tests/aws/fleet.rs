use std::net::SocketAddr;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::BINARY;
use testkit::aws::account::{Account, element};
use testkit::aws::moto::Moto;
use testkit::aws::proxy::Proxy;
use testkit::backend::Backend;
use testkit::balancer::Balancer;
use testkit::net::port::Port;
use testkit::wait::wait_for;

/// The region of the defaults comes first.
pub(crate) const REGIONS: [&str; 20] = [
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ca-central-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-2",
    "ap-southeast-3",
    "ap-east-1",
    "af-south-1",
    "me-south-1",
    "ca-west-1",
];

const GROUP: &str = "worker-nodes";

/// Instances in two zones and an Auto Scaling Group, with a real server at each one's address.
pub(crate) struct Fleet {
    pub(crate) account: Account,
    pub(crate) proxy: Proxy,
    subnets: [String; 2],
    target_port: u16,
    backends: Vec<Backend>,
    next_address: u8,
    /// Reserves [`Self::target_port`].
    _port: Option<Port>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) address: String,
}

impl Fleet {
    /// An empty one in a region of its own, with a target port of its own; `None` where there is
    /// no moto.
    pub(crate) fn start() -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let moto = Moto::shared()?;
        let region = REGIONS[NEXT.fetch_add(1, Ordering::SeqCst)];
        let port = Port::free();
        Some(Self::within(moto, region, port.number(), Some(port)))
    }

    /// One where a balancer looks by its defaults. There can be only one.
    pub(crate) fn start_at_defaults() -> Option<Self> {
        Some(Self::within(Moto::shared()?, REGIONS[0], 30080, None))
    }

    /// One in a moto of its own.
    pub(crate) fn start_in(moto: &Moto) -> Self {
        let port = Port::free();
        Self::within(moto, REGIONS[0], port.number(), Some(port))
    }

    fn within(moto: &Moto, region: &str, target_port: u16, port: Option<Port>) -> Self {
        let account = Account::new(moto.address(), region);
        let mut fleet = Self {
            account,
            proxy: Proxy::start(moto.address()),
            subnets: Default::default(),
            target_port,
            backends: Vec::new(),
            next_address: 10,
            _port: port,
        };
        fleet.create_group();
        fleet
    }

    /// Creates what instances need, and the group.
    fn create_group(&mut self) {
        self.create_subnets();
        self.account.autoscaling(
            "CreateLaunchConfiguration&LaunchConfigurationName=worker&ImageId=ami-12345678\
             &InstanceType=t3.nano",
        );
        self.account.autoscaling(&format!(
            "CreateAutoScalingGroup&AutoScalingGroupName={GROUP}&LaunchConfigurationName=worker\
             &MinSize=0&MaxSize=100&DesiredCapacity=0&VPCZoneIdentifier={}",
            self.subnets.join(",")
        ));
    }

    fn create_subnets(&mut self) {
        let Account { region, .. } = &self.account;
        let vpc = self.account.ec2("CreateVpc&CidrBlock=127.0.0.0/16");
        let vpc = element(&vpc, "vpcId");
        self.subnets = [(0, "a"), (128, "b")].map(|(start, zone)| {
            let subnet = self.account.ec2(&format!(
                "CreateSubnet&VpcId={vpc}&CidrBlock={}{start}/25&AvailabilityZone={region}{zone}",
                network()
            ));
            element(&subnet, "subnetId")
        });
    }

    /// Does again what made a fleet of `instances`, in a moto that has forgotten it.
    pub(crate) fn repeat(&mut self, instances: &[Instance]) -> Vec<Instance> {
        self.create_group();
        let launch = |instance: &Instance| self.launch_at(&instance.address);
        let repeated: Vec<_> = instances.iter().map(launch).collect();
        self.attach(&repeated);
        repeated
    }

    /// Runs an instance in either zone, with a server.
    pub(crate) fn launch(&mut self) -> Instance {
        let number = self.next_address / 2 + 128 * (self.next_address % 2);
        self.next_address += 1;
        let instance = self.launch_at(&format!("{}{number}", network()));
        let address = self.socket_address(&instance);
        if self.backends.iter().all(|backend| backend.address != address) {
            self.backends.push(Backend::named_on(address, &instance.address));
        }
        instance
    }

    /// Runs another instance at the address of one that has ended.
    pub(crate) fn launch_again_at(&mut self, address: &str) -> Instance {
        // moto never takes an address back: a VPC with the same addresses has it free.
        self.create_subnets();
        self.launch_at(address)
    }

    fn launch_at(&self, address: &str) -> Instance {
        let last: u8 = address.rsplit('.').next().unwrap().parse().unwrap();
        let subnet = &self.subnets[usize::from(last / 128)];
        let answer = self.account.ec2(&format!(
            "RunInstances&ImageId=ami-12345678&MinCount=1&MaxCount=1&SubnetId={subnet}\
             &PrivateIpAddress={address}"
        ));
        Instance { id: element(&answer, "instanceId"), address: address.to_owned() }
    }

    /// Runs so many and makes them members of the group.
    pub(crate) fn scale_out(&mut self, count: usize) -> Vec<Instance> {
        let instances: Vec<_> = (0..count).map(|_| self.launch()).collect();
        self.attach(&instances);
        instances
    }

    /// Makes instances members of the group.
    pub(crate) fn attach(&self, instances: &[Instance]) {
        let ids = (1..).zip(instances);
        let ids = ids.map(|(number, it)| format!("&InstanceIds.member.{number}={}", it.id));
        let form = format!(
            "AttachInstances&AutoScalingGroupName={GROUP}{}",
            ids.collect::<Vec<_>>().concat()
        );
        self.account.autoscaling(&form);
    }

    /// `DetachInstances`, `EnterStandby` or `ExitStandby` for one member.
    pub(crate) fn change_member(&self, action: &str, instance: &Instance) {
        let decrement = match action {
            "ExitStandby" => "",
            _ => "&ShouldDecrementDesiredCapacity=true",
        };
        self.account.autoscaling(&format!(
            "{action}&AutoScalingGroupName={GROUP}&InstanceIds.member.1={}{decrement}",
            instance.id
        ));
    }

    /// Has the group end a member for good.
    pub(crate) fn scale_in(&self, instance: &Instance) {
        self.account.autoscaling(&format!(
            "TerminateInstanceInAutoScalingGroup&InstanceId={}\
             &ShouldDecrementDesiredCapacity=true",
            instance.id
        ));
    }

    /// `TerminateInstances` or `StopInstances` for one instance; a group would replace it.
    pub(crate) fn end(&self, action: &str, instance: &Instance) {
        self.account.ec2(&format!("{action}&InstanceId.1={}", instance.id));
    }

    /// Gives instances a tag.
    pub(crate) fn tag(&self, instances: &[Instance], name: &str, value: &str) {
        for instance in instances {
            self.account.ec2(&format!(
                "CreateTags&ResourceId.1={}&Tag.1.Key={name}&Tag.1.Value={value}",
                instance.id
            ));
        }
    }

    /// Where an instance's server is.
    pub(crate) fn socket_address(&self, instance: &Instance) -> SocketAddr {
        SocketAddr::new(instance.address.parse().unwrap(), self.target_port)
    }

    /// The variables of a balancer before it, besides those that have defaults here: what is set to
    /// nothing counts as unset.
    fn least_variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("http://{}", self.proxy.address())),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("ALLOW_LOOPBACK_TARGETS", "true".to_owned()),
            ("NODE_FILTER", String::new()),
            ("NODE_CHECK_PERIOD", String::new()),
            ("HEALTH_CHECK_PERIOD", String::new()),
            ("HEALTH_CHECK_PORT", String::new()),
        ]
    }

    /// A balancer before it in which all else is as by default.
    pub(crate) fn spawn_default_balancer(&self) -> Balancer {
        spawn(&self.least_variables())
    }

    /// A balancer before it that asks often; `variables` win.
    pub(crate) fn spawn_balancer(&self, variables: &[(&'static str, &str)]) -> Balancer {
        let mut all = self.least_variables();
        all.extend([
            ("AWS_REGION", self.account.region.clone()),
            ("TARGET_PORT", self.target_port.to_string()),
            ("NODE_CHECK_PERIOD", "500ms".to_owned()),
            ("HEALTH_CHECK_PERIOD", "100ms".to_owned()),
        ]);
        all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        spawn(&all)
    }

    /// The same, once all `instances` are healthy.
    pub(crate) fn balancer(
        &self,
        instances: &[Instance],
        variables: &[(&'static str, &str)],
    ) -> Balancer {
        let balancer = self.spawn_balancer(variables);
        wait_for_healthy(&balancer, instances);
        balancer
    }
}

fn spawn(variables: &[(&'static str, String)]) -> Balancer {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, &**value)).collect();
    BINARY.spawn(&[], &variables)
}

/// Waits until exactly these are healthy.
#[track_caller]
pub(crate) fn wait_for_healthy(balancer: &Balancer, instances: &[Instance]) {
    let mut ids: Vec<_> = instances.iter().map(|instance| instance.id.clone()).collect();
    ids.sort();
    wait_for(&format!("{ids:?} to be healthy"), || balancer.ids("healthy"), |it| *it == ids);
}

/// The first three parts of the addresses of this process's instances: test runs side by side
/// differ in it where the target port is given.
fn network() -> String {
    format!("127.0.{}.", process::id() % 250 + 2)
}
