use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use aws_types::service_config::ServiceConfigKey;
use ec2::types::InstanceStateName;

use super::api::{Api, Filter, Group, Instance, Member, Page};
use super::failure::fault;
use super::fault::{DESCRIBE_GROUPS, DESCRIBE_INSTANCES};
use super::survey::survey;
use super::wholeness::Wholeness;
use super::{AwsSettings, Fault, FaultKind, Found, Timeouts};

/// Attempts of one call, with three pauses that double and are jittered.
const ATTEMPTS: u32 = 4;

/// Most instances in one page of an answer (EC2 API Reference, `DescribeInstances`).
const INSTANCES_PER_PAGE: i32 = 1000;

/// AWS itself.
#[derive(Debug)]
pub(super) struct Client {
    autoscaling: autoscaling::Client,
    ec2: ec2::Client,
    region: String,
    timeouts: Timeouts,
}

impl Client {
    /// Nothing is sent yet.
    pub(super) fn new(config: &SdkConfig, settings: &AwsSettings, region: &str) -> Self {
        let mut of_groups = autoscaling::config::Builder::from(config).interceptor(Wholeness);
        of_groups.set_endpoint_url(endpoint(config, "Auto Scaling"));
        let mut of_instances = ec2::config::Builder::from(config).interceptor(Wholeness);
        of_instances.set_endpoint_url(endpoint(config, "EC2"));
        Self {
            autoscaling: autoscaling::Client::from_conf(of_groups.build()),
            ec2: ec2::Client::from_conf(of_instances.build()),
            region: region.to_owned(),
            timeouts: Timeouts::new(settings.period),
        }
    }

    /// Asks once for everything, in bounded time.
    pub(super) async fn refresh(&self, settings: &AwsSettings) -> Result<Found, Fault> {
        let refresh = tokio::time::timeout(self.timeouts.refresh, survey(self, settings));
        let too_late = |_| Err(Fault::too_late(self.timeouts.refresh, &self.region));
        refresh.await.unwrap_or_else(too_late)
    }

    fn incomplete(&self, action: &'static str) -> Fault {
        let reason = "the list is missing in it".to_owned();
        Fault::new(FaultKind::Malformed, action, reason, &self.region)
    }
}

/// What the environment and the profile say. Clients made by it share the credentials.
pub(super) async fn config(settings: &AwsSettings, region: &str) -> SdkConfig {
    let timeouts = Timeouts::new(settings.period);
    let timeout_config = TimeoutConfig::builder()
        .connect_timeout(timeouts.attempt)
        .operation_timeout(timeouts.operation)
        .operation_attempt_timeout(timeouts.attempt);
    let retry_config = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(timeouts.first_pause);
    aws_config::defaults(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .retry_config(retry_config)
        .timeout_config(timeout_config.build())
        .identity_cache(IdentityCache::lazy().load_timeout(timeouts.credentials).build())
        .load()
        .await
}

/// The region to ask. The instance's own is not asked for: a balancer that is moved would look
/// elsewhere.
pub(super) async fn region(settings: &AwsSettings) -> String {
    let region = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(ProfileFileRegionProvider::new())
        .region()
        .await
        .map(|region| region.to_string());
    region.filter(|name| !name.is_empty()).unwrap_or_else(|| settings.default_region.clone())
}

/// The endpoint that the environment or the profile names for a service, or for all: what the SDK
/// finds, but a variable that is set to nothing counts as unset. The SDK would panic over one.
fn endpoint(config: &SdkConfig, service_id: &str) -> Option<String> {
    let is_given = |url: &String| !url.is_empty();
    let key = ServiceConfigKey::builder()
        .service_id(service_id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("it is complete");
    let own = config.service_config().and_then(|services| services.load_config(key));
    own.filter(is_given).or_else(|| config.endpoint_url().map(str::to_owned).filter(is_given))
}

impl Api for Client {
    async fn members(&self, name: &str, token: Option<String>) -> Result<Page<Group>, Fault> {
        let call = self
            .autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(name)
            .set_next_token(token);
        let answer =
            call.send().await.map_err(|error| fault(&error, DESCRIBE_GROUPS, &self.region))?;
        let groups = answer.auto_scaling_groups.ok_or_else(|| self.incomplete(DESCRIBE_GROUPS))?;
        let items = groups
            .into_iter()
            .filter(|group| group.auto_scaling_group_name() == Some(name))
            .map(|group| Group { members: group.instances().iter().map(member).collect() });
        Ok(Page { items: items.collect(), next: next(answer.next_token) })
    }

    async fn instances(
        &self,
        filter: &Filter,
        token: Option<String>,
    ) -> Result<Page<Instance>, Fault> {
        let filter = ec2::types::Filter::builder()
            .name(&filter.name)
            .set_values(Some(filter.values.clone()))
            .build();
        let call = self
            .ec2
            .describe_instances()
            .filters(filter)
            .max_results(INSTANCES_PER_PAGE)
            .set_next_token(token);
        let answer =
            call.send().await.map_err(|error| fault(&error, DESCRIBE_INSTANCES, &self.region))?;
        let reservations =
            answer.reservations.ok_or_else(|| self.incomplete(DESCRIBE_INSTANCES))?;
        let items = reservations.iter().flat_map(ec2::types::Reservation::instances).map(instance);
        Ok(Page { items: items.collect(), next: next(answer.next_token) })
    }
}

fn member(instance: &autoscaling::types::Instance) -> Member {
    let in_service = autoscaling::types::LifecycleState::InService;
    Member {
        id: instance.instance_id().unwrap_or_default().to_owned(),
        in_service: instance.lifecycle_state() == Some(&in_service),
    }
}

fn instance(instance: &ec2::types::Instance) -> Instance {
    let state = instance.state().and_then(ec2::types::InstanceState::name);
    let placement = instance.placement();
    Instance {
        id: instance.instance_id().unwrap_or_default().to_owned(),
        running: state == Some(&InstanceStateName::Running),
        address: instance.private_ip_address().map(ToOwned::to_owned),
        zone: placement.and_then(|place| place.availability_zone()).map(ToOwned::to_owned),
    }
}

/// Some services end a list with an empty token.
fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}
