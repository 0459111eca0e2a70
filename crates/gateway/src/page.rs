//! The page of the door: three files inside the program, for a person with a browser.
//!
//! The page shows words that strangers' models wrote. Its policy lets it load nothing but its own
//! two files and speak to nobody but this door, so that such words stay words.

use crate::door::Door;
use axum::extract::State;
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use std::sync::Arc;

/// What the page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      connect-src 'self'; img-src 'self' data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The headers of all three files.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// `GET /`; the page learns here whether it may end providers.
pub async fn index(State(door): State<Arc<Door>>) -> Response {
    let page = include_str!("../page/index.html");
    if door.kill.is_none() {
        return (HEADERS, Html(page)).into_response();
    }
    (HEADERS, Html(page.replacen("<body>", "<body data-demo>", 1))).into_response()
}

/// `GET /page.js`
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../page/page.js"))
}

/// `GET /style.css`
pub async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../page/style.css"))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    (HEADERS, [(header::CONTENT_TYPE, kind)], content).into_response()
}
