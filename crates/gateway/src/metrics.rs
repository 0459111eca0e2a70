//! What the door counts, under the names that dashboards for vLLM know.

use crate::backend::{Answer, Neighbour};
use crate::neighbours::NeighbourMetrics;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Counters of one door.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Answers that are being written.
    pub running: Gauge,
    /// Questions in the line.
    pub waiting: Gauge,
    succeeded: Counter,
    failed: Counter,
    abandoned: Counter,
    prompt_tokens: Counter,
    answer_tokens: Counter,
    joules: Counter<f64, AtomicU64>,
    measured: Counter,
    spent: Counter,
    waited: Histogram,
    first_token: Histogram,
    between_tokens: Histogram,
    whole: Histogram,
    neighbours: NeighbourMetrics,
}

impl Metrics {
    pub fn new() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let mut metrics = Self {
            registry: Registry::with_prefix("mutirao"),
            running: Gauge::default(),
            waiting: Gauge::default(),
            succeeded: Counter::default(),
            failed: Counter::default(),
            abandoned: Counter::default(),
            prompt_tokens: Counter::default(),
            answer_tokens: Counter::default(),
            joules: Counter::default(),
            measured: Counter::default(),
            spent: Counter::default(),
            waited: seconds(),
            first_token: seconds(),
            between_tokens: seconds(),
            whole: seconds(),
            neighbours: NeighbourMetrics::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let Self { registry, running, waiting, succeeded, failed, abandoned, .. } = self;
        registry.register("num_requests_running", "Answers being written", running.clone());
        registry.register("num_requests_waiting", "Questions in the line", waiting.clone());
        registry.register("request_success", "Answers finished", succeeded.clone());
        registry.register("request_failure", "Questions without an answer", failed.clone());
        registry.register("request_abandoned", "Clients that hung up", abandoned.clone());
        let (prompt, answer) = (&self.prompt_tokens, &self.answer_tokens);
        registry.register("prompt_tokens", "Tokens read", prompt.clone());
        registry.register("generation_tokens", "Tokens written", answer.clone());
        let energy = "Joules of answers whose energy is known";
        registry.register("energy_joules", energy, self.joules.clone());
        let measured = "Answers whose energy is known";
        registry.register("request_energy_known", measured, self.measured.clone());
        let spent = "Base units that answers cost";
        registry.register("spent_base_units", spent, self.spent.clone());
        let waited = "request_queue_time_seconds";
        registry.register(waited, "In the line", self.waited.clone());
        let first = "time_to_first_token_seconds";
        registry.register(first, "Until the first token", self.first_token.clone());
        let between = "inter_token_latency_seconds";
        registry.register(between, "Between two tokens, mean", self.between_tokens.clone());
        let whole = "e2e_request_latency_seconds";
        registry.register(whole, "Until the receipt", self.whole.clone());
        self.neighbours.register(registry);
    }

    pub fn answered(&self, answer: &Answer) {
        self.succeeded.inc();
        self.prompt_tokens.inc_by(answer.prompt_tokens.into());
        self.answer_tokens.inc_by(answer.answer_tokens.into());
        if let Some((joules, _)) = answer.energy {
            self.joules.inc_by(joules);
            self.measured.inc();
        }
        self.spent.inc_by(answer.price().0);
        self.first_token.observe(answer.first_token.as_secs_f64());
        self.whole.observe(answer.total.as_secs_f64());
        if answer.answer_tokens > 1 {
            let rest = answer.total.saturating_sub(answer.first_token).as_secs_f64();
            self.between_tokens.observe(rest / f64::from(answer.answer_tokens - 1));
        }
    }

    pub fn waited(&self, waited: Duration) {
        self.waited.observe(waited.as_secs_f64());
    }

    pub fn failed(&self) {
        self.failed.inc();
    }

    pub fn abandoned(&self) {
        self.abandoned.inc();
    }

    /// The text that scrapers read, with what is known of the neighbours.
    pub fn text(&self, neighbours: &[Neighbour]) -> String {
        self.neighbours.set(neighbours);
        let mut text = String::new();
        let written = encode(&mut text, &self.registry);
        debug_assert!(written.is_ok(), "a string takes all that is written");
        text
    }
}
