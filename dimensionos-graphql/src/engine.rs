//! One operation from its text to its answer, the same for every way in.

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType};
use async_graphql::{Request, Response, ServerError, Value, Variables};
use dimensionos_core::auth::Source;
use dimensionos_core::{AccountId, Context, Platform, RequestId, Timestamp};
use futures_util::Stream;
use futures_util::StreamExt;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::SemaphorePermit;

use crate::error::{QUERY_TOO_COMPLEX, code, invalid_request, request_error};
use crate::guard::{Limits, check_document, check_expansion, parse_document, root_fields};
use crate::loader::{Loader, Loaders, Read, Turns};
use crate::nullability::Nullability;
use crate::schema::{self, DimensionSchema};

/// Errors of one answer: enough to mend a query by, too few to fill a pipe with.
const MAX_ERRORS: usize = 16;

/// What resolvers find in their context: the platform, and who asks.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) platform: Platform,
    pub(crate) context: Context,
    pub(crate) started_at: Timestamp,
    /// What it may read, and whose turn it is.
    turns: Arc<Turns>,
    loaders: Loaders,
}

impl Asked {
    pub(crate) fn of<'a>(context: &async_graphql::Context<'a>) -> async_graphql::Result<&'a Self> {
        context.data::<Self>()
    }

    /// A turn at reading from the storage. One operation's fields are executed at once, and would otherwise take every
    /// connection from everybody else.
    pub(crate) async fn turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.turns.one().await
    }

    /// The only turn of an operation: what is read takes megabytes.
    pub(crate) async fn only_turn(&self) -> async_graphql::Result<SemaphorePermit<'_>> {
        self.turns.only().await
    }

    /// What a read comes to for one account, made together with those of other fields.
    pub(crate) async fn load<R: Read>(
        &self,
        loader: fn(&Loaders) -> &Loader<R>,
        viewer: &Context,
        read: R,
        account: AccountId,
    ) -> async_graphql::Result<R::Answer> {
        loader(&self.loaders).load(&self.platform, &self.turns, viewer, read, account).await
    }
}

/// An operation as clients send it, over POST, GET, WebSocket or server-sent events.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    pub(crate) query: String,
    #[serde(default)]
    pub(crate) operation_name: Option<String>,
    #[serde(default)]
    pub(crate) variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// Part of the protocol; this server reads none.
    #[serde(default, rename = "extensions")]
    _extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

impl Operation {
    pub(crate) const fn new(
        query: String,
        operation_name: Option<String>,
        variables: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Self {
        Self { query, operation_name, variables, _extensions: None }
    }
}

/// An operation that has passed the guard.
#[derive(Debug)]
pub(crate) struct Prepared {
    document: ExecutableDocument,
    operation: Operation,
    pub(crate) kind: OperationType,
}

/// An answer, and whether the request failed before anything was executed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    pub(crate) is_request_error: bool,
}

impl Answer {
    fn new(mut response: Response, query: &str, nullability: &Nullability) -> Self {
        let never_ran = response.errors.iter().all(|error| error.path.is_empty());
        let is_request_error = response.data == Value::Null && !response.errors.is_empty() && never_ran;
        if !is_request_error {
            nullability.restore(query, &mut response);
        }
        response.errors.truncate(MAX_ERRORS);
        response.errors.iter_mut().for_each(code);
        Self { response, is_request_error }
    }

    pub(crate) fn refused(error: ServerError) -> Self {
        Self { response: Response::from_errors(vec![error]), is_request_error: true }
    }

    /// The errors alone, as a socket sends those of a request that was not executed.
    pub(crate) fn errors(&self) -> &[ServerError] {
        &self.response.errors
    }
}

/// As clients read it: errors first, where they are seen, and no `data` where nothing was executed. Fields keep the
/// order in which they were asked for.
impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut answer = serializer.serialize_map(None)?;
        if !self.response.errors.is_empty() {
            answer.serialize_entry("errors", &self.response.errors)?;
        }
        if !self.is_request_error {
            answer.serialize_entry("data", &self.response.data)?;
        }
        answer.end()
    }
}

/// Executes operations over one platform.
#[derive(Clone)]
pub struct Engine {
    schema: DimensionSchema,
    platform: Platform,
    limits: Arc<Limits>,
    nullability: Arc<Nullability>,
    has_introspection: bool,
    started_at: Timestamp,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with the given limits. Without introspection, names are not suggested either.
    #[must_use]
    pub fn new(platform: Platform, limits: Limits, has_introspection: bool) -> Self {
        let mut builder = schema::builder();
        if !has_introspection {
            builder = builder.disable_introspection().disable_suggestions();
        }
        let started_at = platform.clock().now();
        Self {
            schema: builder.finish(),
            platform,
            limits: Arc::new(limits),
            nullability: Arc::new(Nullability::of(&schema::sdl())),
            has_introspection,
            started_at,
        }
    }

    /// The platform it executes over.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The context of a new request by that caller, from that source.
    pub(crate) fn context(&self, caller: dimensionos_core::Caller, source: Option<Source>) -> Context {
        let context = Context::new(caller).from_source(source);
        match RequestId::generate(self.platform.entropy()) {
            Ok(request) => context.in_request(request),
            // Without chance there is no id; whatever needs chance will say so.
            Err(_) => context,
        }
    }

    /// Reads an operation and holds it against the limits.
    pub(crate) fn prepare(&self, operation: Operation) -> Result<Prepared, ServerError> {
        let refuse = |error: crate::TooComplex| request_error(error.to_string(), QUERY_TOO_COMPLEX);
        check_document(&operation.query, &self.limits).map_err(refuse)?;
        let document = parse_document(&operation.query).map_err(|position| {
            let place = position.map(|at| format!(" near line {}, column {}", at.line, at.column)).unwrap_or_default();
            invalid_request("query", format!("the document is not GraphQL{place}"))
        })?;
        check_expansion(&document, &self.limits).map_err(refuse)?;
        let chosen = choose(&document, operation.operation_name.as_deref())?;
        let kind = chosen.ty;
        self.check_roots(&document, chosen)?;
        check_variables(chosen, operation.variables.as_ref())?;
        Ok(Prepared { document, operation, kind })
    }

    fn check_roots(&self, document: &ExecutableDocument, chosen: &OperationDefinition) -> Result<(), ServerError> {
        let roots = root_fields(document, &chosen.selection_set.node);
        // The library would answer null for what may not be null.
        if !self.has_introspection && roots.iter().any(|field| is_introspection(field)) {
            return Err(invalid_request("query", "introspection is off"));
        }
        if chosen.ty == OperationType::Subscription && roots.len() != 1 {
            return Err(invalid_request("query", "a subscription has one field at its root"));
        }
        Ok(())
    }

    /// Executes a query or mutation.
    pub(crate) async fn execute(&self, prepared: Prepared, context: Context) -> Answer {
        let query = prepared.operation.query.clone();
        let response = self.schema.execute(self.request(prepared, context)).await;
        Answer::new(response, &query, &self.nullability)
    }

    /// Executes any operation; a query or mutation is a stream of one answer.
    pub(crate) fn stream(&self, prepared: Prepared, context: Context) -> impl Stream<Item = Answer> + Send + use<> {
        let query = prepared.operation.query.clone();
        let nullability = Arc::clone(&self.nullability);
        let responses = self.schema.execute_stream(self.request(prepared, context));
        responses.map(move |response| Answer::new(response, &query, &nullability))
    }

    fn request(&self, prepared: Prepared, context: Context) -> Request {
        let variables = prepared.operation.variables.unwrap_or_default();
        let variables = Variables::from_json(serde_json::Value::Object(variables));
        let asked = Asked {
            platform: self.platform.clone(),
            context,
            started_at: self.started_at,
            turns: Arc::default(),
            loaders: Loaders::default(),
        };
        let mut request = Request::new(prepared.operation.query).variables(variables).data(asked);
        request.operation_name = prepared.operation.operation_name;
        request.set_parsed_query(prepared.document);
        request
    }
}

/// The operation that is to be executed.
fn choose<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, ServerError> {
    let mut operations = document.operations.iter();
    let chosen = match name {
        Some(name) => operations.find(|(known, _)| known.is_some_and(|known| known == name)),
        None => operations.next().filter(|_| document.operations.iter().count() == 1),
    };
    chosen
        .map(|(_, operation)| &operation.node)
        .ok_or_else(|| invalid_request("operationName", "names none of the document's operations"))
}

fn is_introspection(field: &Field) -> bool {
    matches!(field.name.node.as_str(), "__schema" | "__type")
}

/// Refuses a variable that is demanded and missing, before anything is done: the library finds out only when a field
/// asks for it, when fields before it have been executed.
fn check_variables(
    chosen: &OperationDefinition,
    given: Option<&serde_json::Map<String, serde_json::Value>>,
) -> Result<(), ServerError> {
    for definition in &chosen.variable_definitions {
        let definition = &definition.node;
        let is_demanded = !definition.var_type.node.nullable && definition.default_value.is_none();
        let name = definition.name.node.as_str();
        let is_missing = given.and_then(|given| given.get(name)).is_none_or(serde_json::Value::is_null);
        if is_demanded && is_missing {
            return Err(invalid_request("variables", format!("${name} is missing")));
        }
    }
    Ok(())
}
