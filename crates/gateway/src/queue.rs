//! Room for so many answers at once, a line of bounded length before it, and a clear no after that.

use crate::error::ApiError;
use crate::metrics::Metrics;
use axum::http::StatusCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who runs and who waits.
#[derive(Debug)]
pub struct Queue {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

/// A place among those that run; given back when dropped.
#[derive(Debug)]
pub struct Place {
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.running.dec();
    }
}

/// Counts one that waits, however the waiting ends.
struct Waiting<'a>(&'a Queue, &'a Metrics);

impl<'a> Waiting<'a> {
    fn begin(queue: &'a Queue, metrics: &'a Metrics) -> Option<Self> {
        let before = queue.waiting.fetch_add(1, Ordering::SeqCst);
        metrics.waiting.inc();
        let waiting = Self(queue, metrics);
        (before < queue.waiting_max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        self.1.waiting.dec();
    }
}

impl Queue {
    pub fn new(running_max: usize, waiting_max: usize) -> Self {
        let places = Arc::new(Semaphore::new(running_max.max(1)));
        Self { places, waiting: AtomicUsize::new(0), waiting_max }
    }

    /// Waits for a place in the order of arrival.
    pub async fn enter(&self, metrics: &Arc<Metrics>) -> Result<Place, ApiError> {
        let permit = match self.places.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => self.wait(metrics).await?,
        };
        metrics.running.inc();
        Ok(Place { metrics: metrics.clone(), _permit: permit })
    }

    async fn wait(&self, metrics: &Metrics) -> Result<OwnedSemaphorePermit, ApiError> {
        let full = || {
            let message = "every place is taken and the line is full; try again in a moment";
            ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
        };
        let _waiting = Waiting::begin(self, metrics).ok_or_else(full)?;
        self.places.clone().acquire_owned().await.map_err(|_| full())
    }
}
