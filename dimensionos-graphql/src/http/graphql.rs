//! GraphQL over HTTP, after the GraphQL-over-HTTP specification.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dimensionos_core::{Caller, Context};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::engine::{Answer, Cookie, Operation, Prepared};
use crate::error::{invalid_request, request_error, too_often, whole_seconds};
use crate::http::bearer::Unheard;
use crate::http::cookie::CookieSession;
use crate::http::{App, REQUEST_ID, bearer, events, socket, source, upgrade};

/// Bytes of an agent's body: a report of 1,000 samples with every field takes some 700 KB.
const MAX_REPORT_BODY_BYTES: usize = 1024 * 1024;
/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// How an answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `application/graphql-response+json`: the status tells whether the request was good.
    GraphqlResponse,
    /// `application/json`: 200 for every request that is JSON, for clients from before the specification.
    Json,
    /// `text/event-stream`: a stream of results.
    Events,
}

impl Form {
    fn of(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Self::Json);
        }
        // A list may come in several headers, and media types are the same in any case of letters.
        let lists = headers.get_all(header::ACCEPT).iter().filter_map(|list| list.to_str().ok());
        let mut types = lists.flat_map(|list| list.split(',')).map(|one| one.split(';').next().unwrap_or_default());
        types.find_map(|media_type| match media_type.trim().to_ascii_lowercase().as_str() {
            "application/graphql-response+json" => Some(Self::GraphqlResponse),
            "application/json" | "application/*" | "*/*" => Some(Self::Json),
            "text/event-stream" => Some(Self::Events),
            _ => None,
        })
    }

    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::Events => "text/event-stream; charset=utf-8",
        })
    }
}

/// A request that is not GraphQL at all, or not to be answered: wrong method, type, size, JSON or page.
pub(super) struct Malformed {
    pub(super) status: StatusCode,
    pub(super) message: &'static str,
    pub(super) code: &'static str,
}

impl Malformed {
    pub(super) const fn new(status: StatusCode, message: &'static str) -> Self {
        Self { status, message, code: "INVALID_INPUT" }
    }
}

pub(super) async fn post(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let Some(form) = Form::of(&head.headers) else { return not_acceptable() };
    let source = source::of(&head, app.trusted_proxies);
    let session = match CookieSession::of(&app, &head.headers) {
        Ok(session) => session,
        Err(malformed) => return refuse(&malformed, form, &app.engine.context(Caller::Anonymous, None)),
    };
    let caller = match bearer::caller(&app, &head.headers, source).await {
        Ok(caller) => caller,
        Err(unheard) => return turn_away(&app, &unheard, form),
    };
    let context = app.engine.context(caller, source);
    match read(&head.headers, body, &context.caller, app.engine.limits().body_bytes).await {
        Ok(operation) => run(&app, operation, context, form, Method::Post(session)).await,
        Err(malformed) => refuse(&malformed, form, &context),
    }
}

/// The parameters of a GET.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

pub(super) async fn get(State(app): State<Arc<App>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    let source = source::of(&head, app.trusted_proxies);
    if upgrade::is_asked(&head.headers) {
        return socket::open(app, source, Request::from_parts(head, body));
    }
    let Some(form) = Form::of(&head.headers) else { return not_acceptable() };
    let caller = match bearer::caller(&app, &head.headers, source).await {
        Ok(caller) => caller,
        Err(unheard) => return turn_away(&app, &unheard, form),
    };
    let context = app.engine.context(caller, source);
    let parameters = Query::<Parameters>::try_from_uri(&head.uri).map_err(|_| BAD_PARAMETERS);
    match parameters.and_then(|Query(parameters)| parse(parameters)) {
        Ok(operation) => run(&app, operation, context, form, Method::Get).await,
        Err(malformed) => refuse(&malformed, form, &context),
    }
}

const BAD_PARAMETERS: Malformed = Malformed::new(StatusCode::BAD_REQUEST, "the parameters cannot be read");

fn parse(parameters: Parameters) -> Result<Operation, Malformed> {
    const NO_QUERY: Malformed = Malformed::new(StatusCode::BAD_REQUEST, "the parameter `query` is missing");
    const BAD_VARIABLES: Malformed = Malformed::new(StatusCode::BAD_REQUEST, "`variables` is not a JSON object");
    const BAD_EXTENSIONS: Malformed = Malformed::new(StatusCode::BAD_REQUEST, "`extensions` cannot be read");
    let operation = Operation {
        query: parameters.query,
        operation_name: parameters.operation_name,
        variables: object(parameters.variables, BAD_VARIABLES)?,
        extensions: object(parameters.extensions, BAD_EXTENSIONS)?,
    };
    if operation.is_empty() { Err(NO_QUERY) } else { Ok(operation) }
}

/// A parameter that is JSON; absent where it is left out, empty or null.
fn object<T: DeserializeOwned>(parameter: Option<String>, otherwise: Malformed) -> Result<Option<T>, Malformed> {
    let written = parameter.filter(|text| !text.is_empty());
    let read = written.map(|text| serde_json::from_str::<Option<T>>(&text)).transpose();
    read.map(Option::flatten).map_err(|_| otherwise)
}

/// Reads a POST's body, which has to be JSON: no page of another site can send that without asking first.
async fn read(headers: &HeaderMap, body: Body, caller: &Caller, max_bytes: usize) -> Result<Operation, Malformed> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Malformed::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is not application/json"));
    }
    let limit = match caller {
        Caller::Agent(_) => max_bytes.max(MAX_REPORT_BODY_BYTES),
        _ => max_bytes,
    };
    let collected = http_body_util::Limited::new(body, limit).collect();
    let Ok(collected) = tokio::time::timeout(BODY_TIMEOUT, collected).await else {
        return Err(Malformed::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"));
    };
    let body = collected.map_err(|error| {
        if error.is::<http_body_util::LengthLimitError>() {
            let message = "the body is larger than this server reads";
            Malformed {
                code: crate::error::QUERY_TOO_COMPLEX,
                ..Malformed::new(StatusCode::PAYLOAD_TOO_LARGE, message)
            }
        } else {
            Malformed::new(StatusCode::BAD_REQUEST, "the body broke off")
        }
    })?;
    let operation: Option<Operation> = serde_json::from_slice(&body.to_bytes()).ok();
    operation
        .filter(|operation| !operation.is_empty())
        .ok_or(Malformed::new(StatusCode::BAD_REQUEST, "the body is not a GraphQL request in JSON"))
}

#[derive(Debug)]
enum Method {
    Get,
    /// With the session that the request has in a cookie. A GET changes no session, and asks for none.
    Post(Option<CookieSession>),
}

async fn run(app: &App, operation: Operation, context: Context, form: Form, method: Method) -> Response {
    let prepared = match app.engine.prepare(operation) {
        Ok(prepared) => prepared,
        Err(error) if form == Form::Events => return events::refused(app, error, &context),
        Err(error) => return respond(app, &Answer::refused(error), form, &context),
    };
    let is_mutation = prepared.kind == OperationType::Mutation;
    let session = match method {
        Method::Get if is_mutation => {
            let malformed = Malformed::new(StatusCode::METHOD_NOT_ALLOWED, "a mutation takes POST");
            let mut response = refuse(&malformed, form, &context);
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        Method::Get => None,
        Method::Post(session) => session,
    };
    if form == Form::Events {
        // The headers of a stream are sent before anything is executed, and a cookie is in the headers.
        if session.is_some() && is_mutation {
            return refuse(&NO_COOKIE_IN_STREAMS, form, &context);
        }
        return events::stream(app, prepared, &context);
    }
    if prepared.kind == OperationType::Subscription {
        let message = "a subscription takes a WebSocket, or Accept: text/event-stream";
        return respond(app, &Answer::refused(invalid_request("query", message)), form, &context);
    }
    let cookie = session.as_ref().map(|session| Arc::clone(&session.cookie));
    let answer = execute(app, prepared, context.clone(), cookie).await;
    let mut response = respond(app, &answer, form, &context);
    if let Some(session) = session {
        session.tell(&mut response, app.engine.platform().clock().now());
    }
    response
}

const NO_COOKIE_IN_STREAMS: Malformed =
    Malformed::new(StatusCode::BAD_REQUEST, "a mutation whose session is in a cookie is not answered by a stream");

async fn execute(app: &App, prepared: Prepared, context: Context, cookie: Option<Arc<Cookie>>) -> Answer {
    app.engine.execute(prepared, context, cookie).await
}

fn respond(app: &App, answer: &Answer, form: Form, context: &Context) -> Response {
    app.metrics.answered(answer);
    let status = match form {
        Form::GraphqlResponse if answer.is_request_error() => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    write(status, answer, form, context)
}

fn refuse(malformed: &Malformed, form: Form, context: &Context) -> Response {
    let mut error = request_error(malformed.message, malformed.code);
    error.extensions.get_or_insert_default().set("field", "request");
    let form = if form == Form::Events { Form::Json } else { form };
    write(malformed.status, &Answer::refused(error), form, context)
}

/// Answers a request of which it was not looked who sent it.
fn turn_away(app: &App, unheard: &Unheard, form: Form) -> Response {
    let context = app.engine.context(Caller::Anonymous, None);
    let form = if form == Form::Events { Form::Json } else { form };
    match unheard {
        Unheard::TooOften(wait) => {
            let told = too_often(*wait);
            let mut response = write(StatusCode::TOO_MANY_REQUESTS, &Answer::refused(told), form, &context);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(*wait)));
            response
        }
        Unheard::Unavailable(error) => {
            let request = context.request.map(|request| request.to_string()).unwrap_or_default();
            tracing::error!(request, error = error as &dyn std::error::Error, "a caller could not be looked up");
            let mut told = request_error("internal error", error.code().name());
            told.extensions.get_or_insert_default().set("requestId", request);
            write(StatusCode::SERVICE_UNAVAILABLE, &Answer::refused(told), form, &context)
        }
    }
}

fn write(status: StatusCode, answer: &Answer, form: Form, context: &Context) -> Response {
    let mut response = Response::new(Body::from(answer.to_json()));
    *response.status_mut() = status;
    // Room for these and for what every answer says.
    response.headers_mut().reserve(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, form.content_type());
    name(&mut response, context);
    response
}

/// Headers of an answer, as far as this server writes them.
const HEADERS: usize = 7;

/// Puts the request's id on the answer.
pub(super) fn name(response: &mut Response, context: &Context) {
    let id = context.request.and_then(|request| HeaderValue::from_str(&request.to_string()).ok());
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
}

fn not_acceptable() -> Response {
    let forms = "answers are application/graphql-response+json, application/json or text/event-stream\n";
    (StatusCode::NOT_ACCEPTABLE, forms).into_response()
}
