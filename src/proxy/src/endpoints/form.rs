//! Forms of our own pages.

use http::{Method, Request, header};

use crate::{
    RequestError, authorize::AccessError, body, endpoints::EndpointError,
    request_context::ContextError, server::ClientBody,
};
use model::headers::{self, RequestOrigin};

/// The fields of a submitted form.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

// === impl Form ===

impl Form {
    /// Reads a form that one of our pages sent; gives the request back without its body. Forms of
    /// other sites are refused.
    pub(crate) async fn read(
        request: Request<ClientBody>,
        own_origin: &str,
    ) -> Result<(Request<ClientBody>, Self), RequestError> {
        if *request.method() != Method::POST {
            return Err(ContextError::Method { allow: "POST" }.into());
        }
        if headers::request_origin(request.headers(), own_origin) != RequestOrigin::SameOrigin {
            return Err(AccessError::ForeignSender.into());
        }
        Self::read_of_any_site(request).await
    }

    /// Reads a form that any site may have sent; gives the request back without its body.
    pub(crate) async fn read_of_any_site(
        request: Request<ClientBody>,
    ) -> Result<(Request<ClientBody>, Self), RequestError> {
        let is_form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| {
                kind.trim()
                    .eq_ignore_ascii_case("application/x-www-form-urlencoded")
            });
        if !is_form {
            return Err(EndpointError::Form("it is no form").into());
        }
        let (head, mut body) = request.into_parts();
        let whole = body::whole(&mut body, MAX_FORM).await?;
        let fields = url::form_urlencoded::parse(&whole)
            .take(MAX_FIELDS)
            .map(|(name, value)| (name.into_owned(), value.into_owned()));
        Ok((Request::from_parts(head, body), Self(fields.collect())))
    }

    /// The form as a query.
    pub(crate) fn to_query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        query.finish()
    }

    /// The value of a field; the first if there are several.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        let (_, value) = fields.find(|(own, _)| own == name)?;
        Some(value)
    }
}

/// Our forms have a name, a room and an invitation; that of a provider has a code of some kilobytes.
const MAX_FORM: usize = 16 * 1024;
const MAX_FIELDS: usize = 16;
