mod credentials;
mod denial;
mod endpoint;
mod error_chain;
mod failure;
mod transport;
mod wholeness;

use std::sync::Arc;

use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_autoscaling as autoscaling;
use aws_sdk_ec2 as ec2;
use ec2::config::http::HttpResponse;
use ec2::error::{ProvideErrorMetadata, SdkError};
use ec2::types::InstanceStateName;
use exchange::Target;

use super::poll::poll;
use super::timeouts::REFRESH_MAX;
use crate::discovery::ec2::fault::{DESCRIBE_GROUPS, DESCRIBE_INSTANCES};
use crate::discovery::ec2::fault::{Fault, FaultKind};
use crate::discovery::ec2::poll::Found;
use crate::discovery::ec2::poll::api::{
    Api, AutoScalingGroup, Filter, GroupMember, Instance, Page,
};
use crate::discovery::ec2::settings::AwsSettings;
use crate::discovery::ec2::timeouts::Timeouts;
use crate::threads::guard::Panicked;
use crate::threads::guarded::Guarded;
use credentials::{CheckedCredentials, Patience};
use endpoint::Endpoint;
use failure::fault;
use transport::{Sightings, Transport};
use wholeness::Wholeness;

/// Attempts of one call, with three pauses that double and are jittered.
const ATTEMPTS: u32 = 4;

/// Most instances in one page of an answer (EC2 API Reference, `DescribeInstances`).
const INSTANCES_PER_PAGE: i32 = 1000;

/// What the environment and the profile say. Clients made of it share the credentials.
#[derive(Debug)]
pub(super) struct Access {
    config: SdkConfig,
    asked: Arc<Sightings>,
    patience: Arc<Patience>,
}

impl Access {
    /// # Errors
    /// The SDK panicked.
    pub(super) async fn find(settings: &AwsSettings) -> Result<Self, Panicked> {
        Guarded::new(Self::look(settings)).await
    }

    async fn look(settings: &AwsSettings) -> Self {
        let (asked, patience) = (Arc::<Sightings>::default(), Arc::<Patience>::default());
        let transport = Transport::new(!settings.proxies.is_empty(), Arc::clone(&asked));
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(Region::new(settings.region().to_owned()))
            .http_client(transport)
            // Theirs would be the same for every refresh.
            .identity_cache(IdentityCache::lazy().load_timeout(REFRESH_MAX).build())
            .load()
            .await;
        let source = config.credentials_provider().expect("the default is one");
        let checked = CheckedCredentials {
            source,
            patience: Arc::clone(&patience),
            asked: Arc::clone(&asked),
        };
        // AWS itself goes the way of the environment, also where it is replaced on this machine.
        let mut config =
            config.into_builder().credentials_provider(SharedCredentialsProvider::new(checked));
        config.set_http_client(None);
        Self { config: config.build(), asked, patience }
    }
}

/// AWS itself.
#[derive(Debug)]
pub(super) struct Client {
    autoscaling: autoscaling::Client,
    ec2: ec2::Client,
    /// What stands against asking either at all.
    problems: [Option<String>; 2],
    asked: Arc<Sightings>,
    patience: Arc<Patience>,
    settings: Arc<AwsSettings>,
    pub(super) timeouts: Timeouts,
}

impl Client {
    /// Nothing is sent yet.
    pub(super) fn new(access: &Access, settings: &Arc<AwsSettings>, timeouts: Timeouts) -> Self {
        let config = &access.config;
        let timeout_config = TimeoutConfig::builder()
            .connect_timeout(timeouts.connect)
            .operation_timeout(timeouts.operation)
            .operation_attempt_timeout(timeouts.attempt)
            .build();
        let retry_config = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(timeouts.first_pause);
        let groups = Endpoint::of(config, "Auto Scaling", "AUTO_SCALING");
        let instances = Endpoint::of(config, "EC2", "EC2");
        let mut of_groups = autoscaling::config::Builder::from(config)
            .interceptor(Wholeness)
            .timeout_config(timeout_config.clone())
            .retry_config(retry_config.clone());
        of_groups.set_endpoint_url(groups.url());
        let mut of_instances = ec2::config::Builder::from(config)
            .interceptor(Wholeness)
            .timeout_config(timeout_config)
            .retry_config(retry_config);
        of_instances.set_endpoint_url(instances.url());
        Self {
            autoscaling: autoscaling::Client::from_conf(of_groups.build()),
            ec2: ec2::Client::from_conf(of_instances.build()),
            problems: [groups.problem(), instances.problem()],
            asked: Arc::clone(&access.asked),
            patience: Arc::clone(&access.patience),
            settings: Arc::clone(settings),
            timeouts,
        }
    }

    /// Asks once for everything, in bounded time. `in_use` are the targets that are confirmed.
    pub(super) async fn refresh(&self, in_use: &[Target]) -> Result<Found, Fault> {
        self.patience.set(self.timeouts.credentials);
        let poll = poll(self, &self.settings, in_use);
        let refresh = tokio::time::timeout(self.timeouts.refresh, poll);
        refresh.await.unwrap_or_else(|_| Err(self.too_late()))
    }

    fn too_late(&self) -> Fault {
        Fault::too_late(self.timeouts.is_answered, self.timeouts.refresh, &self.settings)
    }

    fn fault<E>(&self, error: &SdkError<E, HttpResponse>, action: &'static str) -> Fault
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        fault(error, action, &self.asked, &self.timeouts, &self.settings)
    }

    fn incomplete(&self, action: &'static str) -> Fault {
        let reason = "the list is missing in it".to_owned();
        Fault::new(FaultKind::Malformed, action, reason, &self.settings)
    }

    fn unsent(&self, action: &'static str, problem: &str) -> Fault {
        let fault = Fault::unsent(action, problem.to_owned(), &self.settings);
        fault.mended_by("set it to http[s]://host[:port], or not at all".to_owned())
    }
}

/// The region to ask. The instance's own is not asked for: a balancer that is moved would look
/// elsewhere.
pub(super) async fn region(settings: &AwsSettings) -> String {
    let chain = RegionProviderChain::first_try(settings.region.clone().map(Region::new))
        .or_else(ProfileFileRegionProvider::new());
    let region =
        Guarded::new(async move { chain.region().await }).await.unwrap_or_else(|panicked| {
            log::warn!("the profile's region is not known: {panicked}");
            None
        });
    let region = region.map(|region| region.to_string()).filter(|name| !name.is_empty());
    region.unwrap_or_else(|| settings.default_region.clone())
}

impl Api for Client {
    async fn members(
        &self,
        name: &str,
        token: Option<String>,
    ) -> Result<Page<AutoScalingGroup>, Fault> {
        if let Some(problem) = &self.problems[0] {
            return Err(self.unsent(DESCRIBE_GROUPS, problem));
        }
        let call = self
            .autoscaling
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(name)
            .set_next_token(token);
        let answer = call.send().await.map_err(|error| self.fault(&error, DESCRIBE_GROUPS))?;
        let groups = answer.auto_scaling_groups.ok_or_else(|| self.incomplete(DESCRIBE_GROUPS))?;
        let items = groups
            .into_iter()
            .filter(|group| group.auto_scaling_group_name() == Some(name))
            .map(|group| AutoScalingGroup {
                members: group.instances().iter().map(member).collect(),
            });
        Ok(Page { items: items.collect(), next: next(answer.next_token) })
    }

    async fn instances(
        &self,
        filter: &Filter,
        token: Option<String>,
    ) -> Result<Page<Instance>, Fault> {
        if let Some(problem) = &self.problems[1] {
            return Err(self.unsent(DESCRIBE_INSTANCES, problem));
        }
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
        let answer = call.send().await.map_err(|error| self.fault(&error, DESCRIBE_INSTANCES))?;
        let reservations =
            answer.reservations.ok_or_else(|| self.incomplete(DESCRIBE_INSTANCES))?;
        let items = reservations.iter().flat_map(ec2::types::Reservation::instances).map(instance);
        Ok(Page { items: items.collect(), next: next(answer.next_token) })
    }
}

fn member(instance: &autoscaling::types::Instance) -> GroupMember {
    let in_service = autoscaling::types::LifecycleState::InService;
    GroupMember {
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
