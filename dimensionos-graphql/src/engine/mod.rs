//! One operation from its text to its answer, the same for every way in.

mod ahead;
mod answer;
mod asked;
mod calls;
mod compiled;
mod cookie;
mod cost;
mod document;
mod live;
mod nullability;
mod operation;
mod persisted;
mod validator;
mod variables;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationType};
use async_graphql::{Request, ServerError, ValidationMode, Variables};
use dimensionos_core::auth::Source;
use dimensionos_core::{Caller, Context, Error, Platform, RequestId, Timestamp};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};

use crate::engine::ahead::Ahead;
use crate::engine::calls::Calls as Counted;
use crate::engine::cost::Prices;
use crate::engine::document::{Document, Documents};
use crate::engine::live::Renderings;
use crate::engine::nullability::Nullability;
use crate::engine::persisted::Persisted;
use crate::engine::validator::Validator;
use crate::engine::variables::InputTypes;
use crate::error::{QUERY_TOO_COMPLEX, dress_request, invalid_request, request_error};
use crate::guard::{Limits, TooComplex, check_document, check_expansion, parse_document, root_fields};
use crate::recipient::AppealRecipient;
use crate::schema::{self, DimensionSchema};

pub(crate) use answer::Answer;
pub(crate) use asked::Asked;
pub(crate) use cookie::{Cookie, CookieChange};
pub(crate) use operation::Operation;
pub use persisted::{AllowList, AllowListError, PersistedQueries};

/// An operation that has passed the guard.
#[derive(Debug)]
pub(crate) struct Prepared {
    document: Arc<Document>,
    /// The document, less what a variable without a value stood for.
    pruned: Option<ExecutableDocument>,
    operation_name: Option<String>,
    variables: Variables,
    cost: u64,
    pub(crate) kind: OperationType,
    /// Whether it may be executed also where its caller has no more calls.
    is_essential: bool,
}

/// What an operation gives. What it takes to begin is given back once it has: many are watched for long.
pub(crate) enum Answers {
    Beginning(BoxFuture<'static, BoxStream<'static, Answer>>),
    Going(BoxStream<'static, Answer>),
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Answer>> {
        loop {
            match &mut *self {
                Self::Beginning(beginning) => {
                    let begun = std::task::ready!(beginning.as_mut().poll(context));
                    *self = Self::Going(begun);
                }
                Self::Going(answers) => return answers.as_mut().poll_next(context),
            }
        }
    }
}

/// Executes operations over one platform.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    schema: DimensionSchema,
    validator: Validator,
    platform: Platform,
    limits: Limits,
    documents: Documents<Arc<str>>,
    persisted: Persisted,
    types: InputTypes,
    prices: Prices,
    nullability: Nullability,
    renderings: Renderings,
    calls: Counted,
    /// Where the ids of requests come from.
    chance: Ahead,
    has_introspection: bool,
    charges_calls: bool,
    started_at: Timestamp,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// How an [`Engine`] treats whoever asks.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// What a document may be.
    pub limits: Limits,
    /// Whether the schema tells of itself. Without it, names are not suggested either.
    pub introspection: Introspection,
    /// Which documents may be executed.
    pub persisted_queries: PersistedQueries,
    /// Whether accounts' own operations count as their API calls.
    pub calls: Calls,
    /// The operators' key that the statement of an appeal is sealed to, as the schema tells it.
    pub appeal_recipient: Option<AppealRecipient>,
}

/// Whether the schema tells of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Introspection {
    /// It does.
    #[default]
    Open,
    /// It does not.
    Closed,
}

/// Whether an account's own operations count as its API calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Calls {
    /// Each counts as one, and is refused when there are none left.
    #[default]
    Charged,
    /// They do not count.
    Free,
}

/// Mutations that are executed also where an account has no calls left: whoever has used them up may pay for more, be
/// heard, and leave.
const ESSENTIAL: [&str; 14] = [
    "acceptTerms",
    "appeal",
    "cancelAccount",
    "changePassword",
    "changeTier",
    "eraseAccount",
    "login",
    "logout",
    "recover",
    "redeemVoucher",
    "refresh",
    "register",
    "reportPayment",
    "restoreAccount",
];

impl Engine {
    /// An engine over a platform.
    #[must_use]
    pub fn new(platform: Platform, options: EngineOptions) -> Self {
        let EngineOptions { limits, introspection, persisted_queries, calls, appeal_recipient } = options;
        let has_introspection = introspection == Introspection::Open;
        let begin = || {
            let builder = schema::builder();
            if has_introspection { builder } else { builder.disable_introspection().disable_suggestions() }
        };
        // What reaches it was found valid by the other.
        let executing = begin().validation_mode(ValidationMode::Fast);
        let executing = match appeal_recipient {
            Some(recipient) => executing.data(recipient),
            None => executing,
        };
        let started_at = platform.clock().now();
        let sdl = schema::sdl();
        Self(Arc::new(Inner {
            schema: executing.finish(),
            validator: Validator::new(begin()),
            chance: Ahead::of(platform.clone()),
            platform,
            limits,
            documents: Documents::new(limits.kept_document_bytes),
            persisted: Persisted::new(persisted_queries, limits.kept_document_bytes),
            types: InputTypes::of(&sdl),
            prices: Prices::of(&sdl),
            nullability: Nullability::of(&sdl),
            renderings: Renderings::default(),
            calls: Counted::default(),
            has_introspection,
            charges_calls: calls == Calls::Charged,
            started_at,
        }))
    }

    /// The platform it executes over.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// What a document may be.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The context of a new request by that caller, from that source.
    pub(crate) fn context(&self, caller: Caller, source: Option<Source>) -> Context {
        let context = Context::new(caller).from_source(source);
        match RequestId::generate(&self.0.chance) {
            Ok(request) => context.in_request(request),
            // Without chance there is no id; whatever needs chance will say so.
            Err(_) => context,
        }
    }

    /// Reads an operation and holds it against the limits.
    pub(crate) fn prepare(&self, operation: Operation) -> Result<Prepared, ServerError> {
        let Operation { query, operation_name, variables, extensions } = operation;
        let by = extensions.and_then(|extensions| extensions.persisted_query);
        let document = self.0.document(query, by.as_ref())?;
        let chosen = document.operation(operation_name.as_deref());
        let chosen =
            chosen.ok_or_else(|| invalid_request("operationName", "names none of the document's operations"))?;
        let settled = self.0.types.settle(chosen, variables)?;
        let cost = document.cost.filter(|_| chosen.variable_definitions.is_empty());
        let cost = cost.unwrap_or_else(|| self.0.prices.of_operation(&document.parsed, chosen, &settled.values));
        if cost > self.0.limits.cost {
            return Err(too_complex(TooComplex { what: "cost", limit: self.0.limits.cost }));
        }
        let kind = chosen.ty;
        let roots = root_fields(&document.parsed, &chosen.selection_set.node);
        let is_essential =
            kind == OperationType::Mutation && roots.iter().all(|field| ESSENTIAL.contains(&field.name.node.as_str()));
        let pruned = settled.prune(&document.parsed);
        let variables = settled.values;
        Ok(Prepared { document, pruned, operation_name, variables, cost, kind, is_essential })
    }

    /// Executes a query or mutation, of a session that may be in a cookie.
    pub(crate) async fn execute(&self, prepared: Prepared, context: Context, cookie: Option<Arc<Cookie>>) -> Answer {
        if let Err(error) = self.charge(&prepared, &context).await {
            return Answer::refused(error);
        }
        if let Some(answer) = self.answer_compiled(&prepared, &context).await {
            return answer;
        }
        let (document, cost) = (Arc::clone(&prepared.document), prepared.cost);
        // Apart: what is compiled needs no room for it.
        let response = Box::pin(self.0.schema.execute(self.request(prepared, context, cookie))).await;
        Answer::new(response, &document, cost, &self.0.nullability)
    }

    /// Executes any operation; a query or mutation is a stream of one answer.
    pub(crate) fn stream(&self, prepared: Prepared, context: Context) -> Answers {
        let engine = self.clone();
        Answers::Beginning(Box::pin(async move {
            if let Err(error) = engine.charge(&prepared, &context).await {
                return futures_util::stream::iter([Answer::refused(error)]).boxed();
            }
            if let Some(answer) = engine.answer_compiled(&prepared, &context).await {
                return futures_util::stream::iter([answer]).boxed();
            }
            match engine.watch(&prepared, &context).await {
                Some(written) => written.boxed(),
                None => engine.answers(prepared, context).boxed(),
            }
        }))
    }

    fn answers(&self, prepared: Prepared, context: Context) -> impl Stream<Item = Answer> + Send + use<> {
        let (document, cost) = (Arc::clone(&prepared.document), prepared.cost);
        let engine = self.clone();
        let responses = self.0.schema.execute_stream(self.request(prepared, context, None));
        responses.map(move |response| Answer::new(response, &document, cost, &engine.0.nullability))
    }

    /// Counts an account's own operation as one of its calls.
    async fn charge(&self, prepared: &Prepared, context: &Context) -> Result<(), ServerError> {
        let Caller::Account(principal) = &context.caller else { return Ok(()) };
        if !self.0.charges_calls {
            return Ok(());
        }
        match self.0.calls.charge(&self.0.platform, principal.account).await {
            Err(Error::QuotaExceeded(_)) if prepared.is_essential => Ok(()),
            charged => charged.map_err(|error| dress_request(&error, context)),
        }
    }

    fn request(&self, prepared: Prepared, context: Context, cookie: Option<Arc<Cookie>>) -> Request {
        let asked = Asked::new(self.0.platform.clone(), context, self.0.started_at, cookie);
        let mut request = Request::new("").variables(prepared.variables).data(asked);
        request.operation_name = prepared.operation_name;
        request.set_parsed_query(prepared.pruned.unwrap_or_else(|| prepared.document.parsed.clone()));
        request
    }
}

impl Inner {
    /// The document that is asked for, parsed and valid.
    fn document(
        &self,
        query: Option<String>,
        by: Option<&operation::PersistedQuery>,
    ) -> Result<Arc<Document>, ServerError> {
        let (text, digest) = match self.persisted.find(query, by)? {
            persisted::Asked::Known(document) => return Ok(document),
            persisted::Asked::Text(text, digest) => (text, digest),
        };
        let document = if let Some(document) = self.documents.find(&*text) {
            document
        } else {
            let document = Arc::new(self.read(&text)?);
            self.documents.keep(text, &document);
            document
        };
        if let Some(digest) = digest {
            self.persisted.keep(digest, &document);
        }
        Ok(document)
    }

    fn read(&self, text: &str) -> Result<Document, ServerError> {
        check_document(text, &self.limits).map_err(too_complex)?;
        let mut parsed = parse_document(text).map_err(|position| {
            let place = position.map(|at| format!(" near line {}, column {}", at.line, at.column)).unwrap_or_default();
            invalid_request("query", format!("the document is not GraphQL{place}"))
        })?;
        check_expansion(&parsed, &self.limits).map_err(too_complex)?;
        self.check_roots(&parsed)?;
        self.validator.validate(&parsed)?;
        document::flatten_subscriptions(&mut parsed);
        let has_directives = document::has_directives(&parsed);
        let compiled = compiled::compile(&parsed);
        let mut document = Document { parsed, has_directives, compiled, cost: None, size: text.len() };
        document.cost = document
            .operation(None)
            .map(|only| self.prices.of_operation(&document.parsed, only, &Variables::default()));
        Ok(document)
    }

    fn check_roots(&self, document: &ExecutableDocument) -> Result<(), ServerError> {
        for (_, operation) in document.operations.iter() {
            let roots = root_fields(document, &operation.node.selection_set.node);
            // The library would answer null for what may not be null.
            if !self.has_introspection && roots.iter().any(|field| is_introspection(field)) {
                return Err(invalid_request("query", "introspection is off"));
            }
            if operation.node.ty == OperationType::Subscription && roots.len() != 1 {
                return Err(invalid_request("query", "a subscription has one field at its root"));
            }
        }
        Ok(())
    }
}

fn too_complex(error: TooComplex) -> ServerError {
    request_error(error.to_string(), QUERY_TOO_COMPLEX)
}

fn is_introspection(field: &Field) -> bool {
    matches!(field.name.node.as_str(), "__schema" | "__type")
}
