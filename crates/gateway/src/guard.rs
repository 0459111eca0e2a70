//! Who may use the door: the person of this machine, and no page that the person happens to visit.
//!
//! A page from anywhere can make a browser send requests to `127.0.0.1`. Three checks stop that:
//! the `Host` must be a name of this machine (a rebound host name is somebody else's), the
//! `Origin`, if a browser sends one, must be this door itself, and a token that only the owner can
//! read must come with every request.

use crate::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use mutirao_wire::Digest;
use std::sync::Arc;

/// The cookie by which a browser carries the token.
const COOKIE: &str = "mutirao_token";

/// Finds whose key that is, by name.
pub type Callers = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The person of this machine.
    Owner,
    /// Whoever has a key of that name.
    Key(String),
    /// Somebody who pays for each request.
    Payer,
}

/// Where those go who are not the owner: to models and questions, not to the wallet, the
/// neighbours, the figures and the page.
const FOR_ALL: [&str; 7] = [
    "/v1/models",
    "/v1/chat/",
    "/v1/completions",
    "/v1/responses",
    "/v1/receipts",
    "/api/",
    "/health",
];

/// Where those go who pay for each request.
const FOR_PAYERS: [&str; 4] = ["/v1/chat/completions", "/v1/models", "/v1/receipts/", "/health"];

/// What the checks compare with.
pub struct Guard {
    token: Digest,
    hosts: Vec<String>,
    callers: Callers,
    sells: bool,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Guard {
    /// Lets in whoever knows `token`, at the names of loopback and at `hosts`.
    pub fn new(token: &str, hosts: &[String]) -> Self {
        let mut names: Vec<String> = ["localhost", "127.0.0.1", "[::1]"].map(Into::into).into();
        names.extend(hosts.iter().map(|host| host.to_ascii_lowercase()));
        Self { token: digest(token), hosts: names, callers: Arc::new(|_| None), sells: false }
    }

    /// Lets in others, too, by keys of their own.
    #[must_use]
    pub fn with_callers(mut self, callers: Callers) -> Self {
        self.callers = callers;
        self
    }

    /// Lets in, too, whoever has no key and pays for each request.
    #[must_use]
    pub fn that_sells(mut self, sells: bool) -> Self {
        self.sells = sells;
        self
    }

    fn knows(&self, token: &str) -> bool {
        digest(token) == self.token
    }

    fn is_here(&self, authority: &str) -> bool {
        let name = match authority.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
            _ => authority,
        };
        self.hosts.iter().any(|host| *host == name.to_ascii_lowercase())
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let forbidden =
            |code, message: &str| Err(ApiError::new(StatusCode::FORBIDDEN, code, message));
        let host = text(headers, header::HOST);
        if !host.is_some_and(|host| self.is_here(host)) {
            return forbidden("host_not_allowed", "this name is not one of this machine's");
        }
        let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or("?"));
        let own = |origin: &str| origin.strip_prefix("http://") == host;
        if origin.is_some_and(|origin| !own(origin)) {
            return forbidden("origin_not_allowed", "pages from elsewhere may not use this door");
        }
        Ok(())
    }

    /// Whose token comes with the request; whoever has none pays, where that is sold.
    fn who(&self, headers: &HeaderMap, path: &str) -> Option<Caller> {
        let bearer = text(headers, header::AUTHORIZATION);
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer ")).map(str::trim);
        let cookie = || {
            let cookies = text(headers, header::COOKIE).unwrap_or_default().split(';');
            cookies
                .filter_map(|pair| pair.trim().split_once('='))
                .any(|(name, token)| name == COOKIE && self.knows(token))
        };
        if bearer.is_some_and(|token| self.knows(token)) || cookie() {
            return Some(Caller::Owner);
        }
        match bearer {
            Some(token) => (self.callers)(token).map(Caller::Key),
            None => (self.sells && goes(&FOR_PAYERS, path)).then_some(Caller::Payer),
        }
    }

    /// The token in the address that `mutirao serve` printed, exchanged for a cookie that no other
    /// site can make the browser send.
    fn first_visit(&self, method: &Method, uri: &Uri) -> Option<Response> {
        let query = uri.query().unwrap_or_default().split('&');
        let token = query.filter_map(|pair| pair.strip_prefix("token=")).next()?;
        if *method != Method::GET || uri.path() != "/" || !self.knows(token) {
            return None;
        }
        let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/");
        Some(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
    }
}

/// Whether a path begins as one of those that are open.
fn goes(open: &[&str], path: &str) -> bool {
    open.iter().any(|open| path.starts_with(open))
}

/// Digests are compared in place of tokens, so that the time of a comparison says nothing.
fn digest(token: &str) -> Digest {
    Digest::of("mutirao 1 gateway token", &[token.as_bytes()])
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The middleware in front of every route.
pub async fn stand(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if let Err(error) = guard.check(request.headers()) {
        return error.into_response();
    }
    let path = request.uri().path();
    if let Some(caller) = guard.who(request.headers(), path) {
        if matches!(caller, Caller::Key(_)) && !goes(&FOR_ALL, path) {
            let message = "this key may ask questions; this address is for the owner's";
            return ApiError::new(StatusCode::FORBIDDEN, "owner_only", message).into_response();
        }
        request.extensions_mut().insert(caller);
        return next.run(request).await;
    }
    if let Some(welcome) = guard.first_visit(request.method(), request.uri()) {
        return welcome;
    }
    let message = "a token is needed: the API key that `mutirao serve` printed, as \
                   `Authorization: Bearer …`; a browser opens the address it printed";
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message).into_response()
}
