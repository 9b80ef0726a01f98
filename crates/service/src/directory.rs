//! The service itself, in the messages of the protocol and without a transport.
//!
//! Every call may wait for the disk: call from a thread that may.

mod linked;
mod listening;

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use superstream_protocol::{
    ClientConfigUpdate, ClientError, ClientReport, Mode, RegisterClient, Registered, ReportTaken,
    Reports, ReportsTaken, StartClient, Update, Updates,
};
use tokio::sync::{broadcast, watch};

use crate::bounds;
use crate::mask::Masker;
use crate::metrics;
use crate::quiet;
use crate::registration;
use crate::rules::{Rules, Traits};
use crate::store::{Manner, Receipt, Store, StoreError, Totals};
use crate::tally::Tally;
use crate::view::{ClientDetail, ClientList, History, ListQuery, TotalsView};

/// The most reports in one message.
pub const MAX_REPORTS: usize = 1_000;

/// Updates that may be under way to those that carry them.
const MAX_UPDATES_UNDER_WAY: usize = 1_000;

/// The account that every token of this service belongs to.
const ACCOUNT: &str = "local";

/// Why the service did not do what it was asked.
#[derive(Debug)]
pub enum ServiceError {
    /// There is no client of that name: it never registered, or is long forgotten.
    UnknownClient,
    /// The message names another client than its address.
    OtherClient,
    /// The message cannot be meant.
    Invalid(String),
    /// The store failed.
    Store(StoreError),
    /// The store failed after an update was made for so many.
    Partly(usize, StoreError),
    /// The service stops, after it was made for so many.
    Stopped(usize),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownClient => f.write_str(
                "no client of this name is registered here: register again and use the \
                 client_hash of the answer",
            ),
            Self::OtherClient => f.write_str(
                "client_hash in the message is not the client that the message was sent for: \
                 leave it out, or give the same",
            ),
            Self::Invalid(reason) => f.write_str(reason),
            Self::Store(error) => write!(f, "the service's store failed: {error}"),
            Self::Partly(made, _) => write!(
                f,
                "the service failed after the update was made for {made} clients: its log tells \
                 its operator why; sent again, they have it twice"
            ),
            Self::Stopped(made) => write!(
                f,
                "the service stops, and the update was made for {made} clients: sent again, they \
                 have it twice"
            ),
        }
    }
}

impl std::error::Error for ServiceError {}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The answer to a registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// What the client is told.
    pub registered: Registered,
    /// False where the same registration came before.
    pub is_new: bool,
}

/// The clients of a service, and what it tells them.
pub struct Directory {
    store: Store,
    rules: RwLock<Arc<Rules>>,
    masker: Masker,
    observe: bool,
    tally: Arc<Tally>,
    updated: broadcast::Sender<(String, Update)>,
    /// Held while updates are made and sent.
    pushing: Mutex<()>,
    is_stopping: AtomicBool,
    rules_changed: watch::Sender<()>,
}

impl Directory {
    /// A service over a store. `observe` has every client observe, whatever the rules say.
    pub fn new(store: Store, rules: Rules, masker: Masker, observe: bool) -> Self {
        Self {
            store,
            rules: RwLock::new(Arc::new(rules)),
            masker,
            observe,
            tally: Arc::default(),
            updated: broadcast::channel(MAX_UPDATES_UNDER_WAY).0,
            pushing: Mutex::default(),
            is_stopping: AtomicBool::new(false),
            rules_changed: watch::channel(()).0,
        }
    }

    /// What this service has done since it was started.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Gives advice by these rules from now on.
    pub fn set_rules(&self, rules: Rules) {
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
        self.rules_changed.send_replace(());
    }

    fn rules(&self) -> Arc<Rules> {
        self.rules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The mode where no rule says otherwise.
    pub fn mode(&self) -> Mode {
        match self.observe {
            true => Mode::Observe,
            false => self.rules().mode(),
        }
    }

    /// The advice for a client, by the rules and the mode of the service.
    fn decide(&self, rules: &Rules, traits: &Traits) -> StartClient {
        let mut start = rules.decide(traits);
        if self.observe {
            start.mode = Mode::Observe;
        }
        start
    }

    fn report_interval_ms(&self) -> Option<u64> {
        u64::try_from(self.store.report_interval().as_millis()).ok()
    }

    /// How often clients are told to report.
    pub fn report_interval(&self) -> Duration {
        self.store.report_interval()
    }

    /// A client introduces itself and is given advice.
    pub fn register(&self, message: RegisterClient) -> Result<Registration, ServiceError> {
        self.introduce(message, false)
    }

    fn introduce(
        &self,
        mut message: RegisterClient,
        is_quiet: bool,
    ) -> Result<Registration, ServiceError> {
        let is_cut = is_quiet && registration::check(&message).is_err();
        if is_cut {
            self.masker.registration(&mut message);
            registration::cut_quiet(&mut message);
        }
        registration::check(&message).map_err(ServiceError::Invalid)?;
        let rules = self.rules();
        // The rules see what the client sent; the store never does.
        let mut traits = Traits::of(&message);
        let (client_hash, mut start, is_new) = if message.dry_run {
            (String::new(), self.decide(&rules, &traits), false)
        } else {
            self.masker.registration(&mut message);
            registration::cut(&mut message);
            let is_veiled = is_cut || Traits::of(&message) != traits;
            let connection = message.nats_connection_id.clone();
            let manner = match is_quiet {
                true => Manner::Quiet(quiet::connection_id(connection.as_deref())),
                false => Manner::Reports,
            };
            if is_quiet {
                traits.kind = traits.kind.or(Some(quiet::likely_kind(&message)));
            }
            self.store.register(&message, is_veiled, manner, |past| {
                traits.remember(past);
                self.decide(&rules, &traits)
            })?
        };
        if self.observe {
            // An answer of before may be from a service that did not.
            start.mode = Mode::Observe;
        }
        let registered = Registered {
            client_hash,
            account_name: ACCOUNT.into(),
            learning_factor: 0,
            report_interval_ms: self.report_interval_ms(),
            start,
        };
        Ok(Registration { registered, is_new })
    }

    /// A client tells what it runs with.
    pub fn configure(
        &self,
        client: &str,
        mut message: ClientConfigUpdate,
    ) -> Result<(), ServiceError> {
        same_client(client, &message.client_hash)?;
        self.masker.update(&mut message);
        if let Some((registered, answer)) = self.store.advised(client)? {
            quiet::explain(&mut message, &registered, &answer);
        }
        found(self.store.configure(client, &message)?)
    }

    /// A client tells what it has done.
    pub fn report(&self, client: &str, mut message: ClientReport) -> Result<(), ServiceError> {
        same_client(client, &message.client_hash)?;
        message.client_hash = client.to_owned();
        let receipts = self.keep(&mut [message], false)?;
        found(receipts.iter().all(|receipt| *receipt != Receipt::Unknown))
    }

    /// Several clients tell what they have done: all of it is taken, or nothing.
    pub fn reports(&self, mut message: Reports) -> Result<ReportsTaken, ServiceError> {
        let count = message.reports.len();
        if count > MAX_REPORTS {
            return Err(ServiceError::Invalid(format!(
                "the message holds {count} reports: send at most {MAX_REPORTS} at once"
            )));
        }
        let receipts = self.keep(&mut message.reports, true)?;
        let rules = self.rules();
        let clients = message.reports.iter().zip(&receipts);
        let clients = clients.filter(|(_, receipt)| **receipt != Receipt::Unknown);
        let clients = clients.map(|(report, _)| report.client_hash.as_str());
        let baselines = self.store.baselines(clients.clone())?;
        let advice = self
            .store
            .newer_advice(clients, |traits| self.decide(&rules, traits))?;
        let taken = message
            .reports
            .iter()
            .zip(receipts)
            .map(|(report, receipt)| {
                let (sequence, unknown) = match receipt {
                    Receipt::Taken { sequence, .. } => (sequence, false),
                    Receipt::Unknown => (0, true),
                };
                ReportTaken {
                    client_hash: report.client_hash.clone(),
                    sequence,
                    unknown,
                    advice: advice.get(report.client_hash.as_str()).cloned(),
                    baseline: baselines.get(report.client_hash.as_str()).copied(),
                }
            });
        Ok(ReportsTaken {
            reports: taken.collect(),
            report_interval_ms: self.report_interval_ms(),
        })
    }

    fn keep(
        &self,
        reports: &mut [ClientReport],
        is_told: bool,
    ) -> Result<Vec<Receipt>, ServiceError> {
        for report in &mut *reports {
            self.masker.topics(&mut report.producer_topics_partitions);
            self.masker
                .topics(&mut report.consumer_group_topics_partitions);
            if let Some(measured) = &mut report.measured {
                *measured = bounds::bounded(measured, &self.masker);
            }
        }
        let receipts = self.store.report(reports, is_told)?;
        for receipt in &receipts {
            self.tally.report(*receipt);
        }
        Ok(receipts)
    }

    /// A client tells what went wrong.
    pub fn error(&self, client: &str, mut message: ClientError) -> Result<(), ServiceError> {
        same_client(client, &message.client_hash)?;
        if message.error.is_empty() {
            return Err(ServiceError::Invalid(
                "error is empty: say what went wrong".into(),
            ));
        }
        self.masker.error(&mut message);
        found(self.store.error(client, &message.error)?)
    }

    /// A client asks for what is new since the update that it saw last.
    pub fn updates(&self, client: &str, after: u64) -> Result<Updates, ServiceError> {
        let updates = self
            .store
            .updates(client, after)?
            .ok_or(ServiceError::UnknownClient)?;
        Ok(Updates { updates })
    }

    /// A client goes. What is known of it stays for the operator to see, and a report that was
    /// overtaken by the goodbye is still taken.
    pub fn goodbye(&self, client: &str) -> Result<(), ServiceError> {
        found(self.store.goodbye(client)?)
    }

    /// A page of clients.
    pub fn list(&self, query: &ListQuery) -> Result<ClientList, ServiceError> {
        Ok(ClientList {
            report_interval_ms: self.report_interval_ms(),
            ..self.store.list(query)?
        })
    }

    /// All that is known of a client.
    pub fn client(&self, client: &str) -> Result<ClientDetail, ServiceError> {
        self.store
            .client(client)?
            .ok_or(ServiceError::UnknownClient)
    }

    /// A page of what a client's reports have added, newest first.
    pub fn history(
        &self,
        client: &str,
        limit: u32,
        after: Option<i64>,
    ) -> Result<History, ServiceError> {
        self.store
            .history(client, limit, after)?
            .ok_or(ServiceError::UnknownClient)
    }

    /// The sums over all clients.
    pub fn totals(&self) -> Result<TotalsView, ServiceError> {
        Ok(TotalsView::from(&self.sums()?))
    }

    /// The same and the service's own figures, as OpenMetrics text.
    pub fn metrics(&self) -> Result<String, ServiceError> {
        Ok(metrics::text(&self.sums()?, &self.tally))
    }

    fn sums(&self) -> Result<Totals, ServiceError> {
        Ok(self.store.totals()?)
    }

    /// Forgets clients that are long gone. Tells how many.
    pub fn prune(&self) -> Result<usize, ServiceError> {
        Ok(self.store.prune()?)
    }
}

fn found(found: bool) -> Result<(), ServiceError> {
    if found {
        Ok(())
    } else {
        Err(ServiceError::UnknownClient)
    }
}

/// A message may repeat whom it is from, but not name another.
fn same_client(client: &str, named: &str) -> Result<(), ServiceError> {
    match named.is_empty() || named == client {
        true => Ok(()),
        false => Err(ServiceError::OtherClient),
    }
}
