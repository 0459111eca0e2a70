//! What only a demonstration offers: ending one of its own providers in mid-answer, to see that
//! the answer survives. Every other door has nothing under this address.

use crate::error::ApiError;
use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;

/// Ends the demonstration's provider with this key; says whether there was one.
#[derive(Clone)]
pub struct Kill(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Kill {
    /// Ends providers by this function.
    pub fn new(kill: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(kill))
    }

    /// `POST /v1/demo/kill`
    pub(crate) fn route<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        post(async move |body: Bytes| self.answer(&body))
    }

    fn answer(&self, body: &[u8]) -> Result<Json<Value>, ApiError> {
        let named: Named = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body names no provider: {error}");
            ApiError::new(StatusCode::BAD_REQUEST, "invalid_json", message)
        })?;
        if (self.0)(&named.provider) {
            return Ok(Json(json!({ "killed": named.provider })));
        }
        let message = "no living provider of this demonstration has this key";
        Err(ApiError::new(StatusCode::NOT_FOUND, "provider_not_found", message))
    }
}

impl fmt::Debug for Kill {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Kill")
    }
}

#[derive(Deserialize)]
struct Named {
    provider: String,
}
