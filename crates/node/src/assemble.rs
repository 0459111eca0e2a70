//! A node: the one value that holds configuration and opens everything else on demand.

use crate::ask::Meeting;
use crate::cashier::Cashier;
use crate::config::Config;
use crate::energy::Meter;
use crate::files::{self, FileError};
use crate::keys::{KeyError, Keys};
use crate::mind::{Here, Opened};
use crate::models::{ModelError, Models, Site};
use crate::peers::{Peers, PeersError};
use crate::places::Places;
use crate::provide::bytes;
use crate::receipts::Receipts;
use crate::standing::StandingFile;
use crate::threads::Threads;
use crate::worker::Means;
use mutirao_wire::ModelId;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// One node of the network, or one person's own machine.
#[derive(Debug)]
pub struct Node {
    config: Config,
    models: Models,
    threads: OnceLock<Arc<Threads>>,
    places: OnceLock<Arc<Places>>,
    meter: OnceLock<Arc<Meter>>,
    opened: Mutex<BTreeMap<String, Arc<Opened>>>,
    /// Held while a model is opened: who wants the same one waits, and does not open it twice.
    opening: Mutex<()>,
    cashier: OnceLock<Cashier>,
    /// Held for the next question.
    pub(crate) waiting: tokio::sync::Mutex<Option<Meeting>>,
}

impl Node {
    /// A node with this configuration. Nothing is opened or created yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let models = Models::new(&config.data_dir).with(config.caches.clone());
        Self {
            config,
            models,
            threads: OnceLock::new(),
            places: OnceLock::new(),
            meter: OnceLock::new(),
            cashier: OnceLock::new(),
            opened: Mutex::default(),
            opening: Mutex::default(),
            waiting: tokio::sync::Mutex::default(),
        }
    }

    /// What it was told.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The models it can open.
    #[must_use]
    pub fn models(&self) -> &Models {
        &self.models
    }

    /// A model, opened once and kept: opening checks every weight.
    ///
    /// # Errors
    /// [`ModelError`] when there is no such model, or its files are refused.
    pub fn open(&self, model: &str) -> Result<Arc<Opened>, ModelError> {
        if let Some(opened) = self.is_open(model) {
            return Ok(opened);
        }
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = self.is_open(model) {
            return Ok(opened);
        }
        let opened = Arc::new(self.open_anew(model)?);
        let mut known = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(model.to_owned(), opened.clone());
        Ok(opened)
    }

    /// A model in this process, for those who look into it.
    pub(crate) fn open_here(&self, model: &str) -> Result<Here, ModelError> {
        let shelf = bytes(self.config.prefix_cache);
        Here::open(&self.models.find(model)?, self.threads(), shelf)
    }

    /// A model, opened and not kept.
    pub(crate) fn open_anew(&self, model: &str) -> Result<Opened, ModelError> {
        self.open_site(self.models.find(model)?)
    }

    /// Opens what was found: in a process of its own where the program can be one, and else here.
    pub(crate) fn open_site(&self, site: Site) -> Result<Opened, ModelError> {
        match Means::of(&self.config, &site) {
            Some(means) => Opened::in_worker(site, means),
            None => Opened::here(site, self.threads(), bytes(self.config.prefix_cache)),
        }
    }

    /// The same, and all of its weights are compared with what they were when they were packed:
    /// before somebody is judged by its answers, or they are sold. Read once in a process.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub fn open_whole(&self, model: &str) -> Result<Arc<Opened>, ModelError> {
        let opened = self.open(model)?;
        match self.prove(&opened) {
            Ok(()) => Ok(opened),
            Err(_) => self.open(model),
        }
    }

    /// Compares the weights of an open model with what they were when they were packed.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] when they are not; the next opening packs them again.
    pub(crate) fn prove(&self, opened: &Opened) -> Result<(), ModelError> {
        if opened.mind().is_whole() {
            return Ok(());
        }
        tracing::error!(model = opened.name, "packed weights are damaged on this disk");
        opened.discard_pack();
        let mut known = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| !std::ptr::eq(Arc::as_ptr(known), opened));
        Err(ModelError::Damaged { name: opened.name.clone() })
    }

    /// Does something while nobody can open a model.
    #[cfg(test)]
    pub(crate) fn while_opening(&self, act: impl FnOnce()) {
        let _turn = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        act();
    }

    /// A model of this name that was opened before.
    pub(crate) fn is_open(&self, model: &str) -> Option<Arc<Opened>> {
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(model).cloned()
    }

    /// Whether no model is being opened.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(self.opening.try_lock(), Err(std::sync::TryLockError::WouldBlock))
    }

    /// A model that was opened before.
    pub(crate) fn opened(&self, id: ModelId) -> Option<Arc<Opened>> {
        let known = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        known.values().find(|opened| opened.id() == id).cloned()
    }

    /// Its keys, made on first use.
    ///
    /// # Errors
    /// [`KeyError`] when they cannot be made or read.
    pub fn keys(&self) -> Result<Keys, KeyError> {
        Keys::open(&self.config.data_dir.join("keys"))
    }

    /// The nodes its user joined.
    ///
    /// # Errors
    /// [`PeersError`] when the list cannot be read.
    pub fn peers(&self) -> Result<Peers, PeersError> {
        Peers::open(self.config.data_dir.join("peers"))
    }

    /// The receipts it keeps.
    #[must_use]
    pub fn receipts(&self) -> Receipts {
        Receipts::new(&self.config.data_dir)
    }

    /// What it remembers about providers.
    ///
    /// # Errors
    /// [`FileError`] when the memory exists but cannot be read.
    pub fn standing(&self) -> Result<StandingFile, FileError> {
        self.make_data_dir()?;
        StandingFile::open(self.config.data_dir.join("standing"))
    }

    /// The engine's threads, started on first use.
    #[must_use]
    pub fn threads(&self) -> Arc<Threads> {
        self.threads.get_or_init(|| Arc::new(Threads::new(self.config.threads))).clone()
    }

    /// Places and memory of all jobs that it answers, its own and those of others.
    pub(crate) fn places(&self) -> Arc<Places> {
        let Config { capacity, jobs_per_key, kv_cache, .. } = self.config;
        let places = || Places::new(capacity, jobs_per_key, bytes(kv_cache));
        self.places.get_or_init(places).clone()
    }

    /// From now on answers are paid for, and sold, with this wallet.
    pub fn pay_with(&self, cashier: Cashier) {
        let _ = self.cashier.set(cashier);
    }

    /// Whoever has the wallet, if it is open.
    #[must_use]
    pub fn cashier(&self) -> Option<&Cashier> {
        self.cashier.get()
    }

    /// What its answers take from the socket; found on first use.
    #[must_use]
    pub fn meter(&self) -> Arc<Meter> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let meter = || Meter::new(Path::new("/"), self.config.watts, cores());
        self.meter.get_or_init(meter).clone()
    }

    /// The 32 bytes that a short seed stands for.
    #[must_use]
    pub fn seed(short: u64) -> [u8; 32] {
        mutirao_wire::Digest::of("mutirao 1 short seed", &[&short.to_le_bytes()]).0
    }

    pub(crate) fn make_data_dir(&self) -> Result<(), FileError> {
        files::make_private_dir(&self.config.data_dir)
    }
}
