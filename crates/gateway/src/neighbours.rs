//! The neighbours of this node, as it measured them itself: for the page, and for dashboards.
//!
//! Nobody else is told: the list stands behind the same door as everything.

use crate::backend::{Neighbour, Percentiles};
use crate::door::Door;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// `GET /v1/neighbours`
pub async fn list(State(door): State<Arc<Door>>) -> Response {
    let all = door.backend.clone().neighbours().await;
    let data: Vec<Value> = all.iter().map(entry).collect();
    Json(json!({ "object": "list", "data": data })).into_response()
}

fn entry(neighbour: &Neighbour) -> Value {
    let times = |times: Option<Percentiles>| {
        times.map(|times| json!({ "p50": times.p50.as_secs_f64(), "p95": times.p95.as_secs_f64() }))
    };
    json!({
        "id": neighbour.provider.to_string(),
        "object": "neighbour",
        "answers": neighbour.answers,
        "failures": neighbour.failures,
        "lies": neighbour.lies,
        "silent": neighbour.silent,
        "success_ratio": neighbour.success(),
        "time_to_first_token_seconds": times(neighbour.first_token),
        "inter_token_latency_seconds": times(neighbour.between_tokens),
    })
}

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// The same as metrics, a line for each provider.
#[derive(Debug, Default)]
pub struct NeighbourMetrics {
    answers: Gauges,
    failures: Gauges,
    success: Gauges,
    first_token: Gauges,
    between_tokens: Gauges,
}

impl NeighbourMetrics {
    pub fn register(&self, registry: &mut Registry) {
        let Self { answers, failures, success, first_token, between_tokens } = self;
        registry.register("provider_answers", "Answers of this provider", answers.clone());
        registry.register("provider_failures", "Tries without an answer", failures.clone());
        let ratio = "provider_request_success_ratio";
        registry.register(ratio, "Answers among the tries", success.clone());
        let first = "provider_time_to_first_token_seconds";
        registry.register(first, "Until its first token", first_token.clone());
        let between = "provider_inter_token_latency_seconds";
        registry.register(between, "Between two of its tokens", between_tokens.clone());
    }

    /// What is known now; who left the circle is forgotten.
    pub fn set(&self, all: &[Neighbour]) {
        let Self { answers, failures, success, first_token, between_tokens } = self;
        for gauges in [answers, failures, success, first_token, between_tokens] {
            gauges.clear();
        }
        for neighbour in all {
            let labels = vec![("provider", neighbour.provider.to_string())];
            answers.get_or_create(&labels).set(neighbour.answers.into());
            failures.get_or_create(&labels).set(neighbour.failures.into());
            if let Some(ratio) = neighbour.success() {
                success.get_or_create(&labels).set(ratio);
            }
            quantiles(first_token, &labels, neighbour.first_token);
            quantiles(between_tokens, &labels, neighbour.between_tokens);
        }
    }
}

fn quantiles(gauges: &Gauges, labels: &Labels, times: Option<Percentiles>) {
    let Some(times) = times else { return };
    for (quantile, time) in [("0.5", times.p50), ("0.95", times.p95)] {
        let labels = [labels.clone(), vec![("quantile", quantile.to_owned())]].concat();
        gauges.get_or_create(&labels).set(time.as_secs_f64());
    }
}
