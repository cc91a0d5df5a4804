use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{Request, Response, SchemaBuilder, ServerError};
use futures_util::FutureExt;

use crate::error::invalid_request;
use crate::schema::live::Subscription;
use crate::schema::{DimensionSchema, Mutation, Query};

/// Holds documents against the schema, and executes nothing.
pub(super) struct Validator(DimensionSchema);

impl Validator {
    pub(super) fn new(builder: SchemaBuilder<Query, Mutation, Subscription>) -> Self {
        Self(builder.extension(Halt).finish())
    }

    /// Whether a document is valid, whatever values its variables will have.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(super) fn validate(&self, document: &ExecutableDocument) -> Result<(), ServerError> {
        let mut request = Request::new("");
        // Every operation of the document is looked at, whichever is named.
        request.operation_name = document.operations.iter().find_map(|(name, _)| name.map(ToString::to_string));
        request.set_parsed_query(document.clone());
        // Nothing in it waits for anything.
        let response = self.0.execute(request).now_or_never();
        let response = response.ok_or_else(|| invalid_request("query", "the document could not be validated"))?;
        response.errors.into_iter().next().map_or(Ok(()), |mut error| {
            crate::error::code(&mut error);
            Err(error)
        })
    }
}

/// Ends an operation where it would be executed.
struct Halt;

impl ExtensionFactory for Halt {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for Halt {
    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}
