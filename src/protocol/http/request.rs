//! A request as built: what never changes of it is made once.
//!
//! [`Request::new`] builds the address, the headers and the body as far as they are static. [`Request::prepare`] renders the rest.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::address::{Address, AddressError, Base, is_absolute, push_query};
use super::body::Payload;
use super::decode::ACCEPTED;
use super::prepared::{PreparedRequest, Rendered};
use super::spec::{Body, BuildError, Connections, Spec, TWO_USERS};
use crate::base::secrets::{Naming, carries_secret, secrets_of_answer, secrets_of_form};
use crate::expr::{EvalError, Scope, Template};
use crate::net::auth::basic;
use crate::net::{AGENT, Endpoint};
use crate::protocol::Sent;

/// A request that is ready to be rendered.
#[derive(Clone)]
pub struct Request {
    pub(super) spec: Spec,
    /// The base, where it is static.
    base: Option<Base>,
    /// The address, where all of it is static.
    address: Option<Address>,
    /// What is static of the headers, the client's own included; `Host` only with a static address.
    headers: HeaderMap,
    dynamic: Vec<(HeaderName, Template)>,
    /// Those of them that carry credentials.
    credentials: Vec<HeaderName>,
    /// Whether values under names of secrets are rendered into the body.
    body_has_secrets: bool,
    host_written: bool,
    /// Whether the profile says who asks, beside the URL.
    user_written: bool,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without its address and headers: a token may be in either.
        f.debug_struct("Request").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Request {
    /// Builds what is static of it.
    ///
    /// # Errors
    /// A static URL or header that cannot be sent.
    pub fn new(mut spec: Spec) -> Result<Self, BuildError> {
        if let Body::Text(Template::Static(text)) = &spec.body {
            spec.body = Body::Static(Bytes::copy_from_slice(text.as_bytes()));
        }
        let mut headers = HeaderMap::new();
        let mut dynamic = Vec::new();
        headers.insert(USER_AGENT, AGENT);
        spec.compression &= !(spec.discard_body && spec.sha256);
        if spec.compression {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
        }
        if spec.connections == Connections::Fresh {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        match spec.body {
            Body::Json(_) => headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json")),
            Body::Form(_) => headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            Body::Empty | Body::Static(_) | Body::Text(_) | Body::Multipart(_) => None,
        };
        for (name, value) in &spec.headers {
            let framed = *name == CONTENT_TYPE && matches!(spec.body, Body::Multipart(_));
            if framed || [CONTENT_LENGTH, TRANSFER_ENCODING, EXPECT].contains(name) {
                return Err(BuildError::Framing(name.clone()));
            }
            match value {
                Template::Static(text) => {
                    let value = HeaderValue::from_str(text).map_err(|_| BuildError::Header(name.clone()))?;
                    headers.insert(name.clone(), value);
                }
                Template::Dynamic(..) => dynamic.push((name.clone(), value.clone())),
            }
        }
        if let Some((Template::Static(user), Template::Static(password))) = &spec.basic {
            let value = HeaderValue::try_from(basic(user, password)).map_err(|_| BuildError::Header(AUTHORIZATION))?;
            headers.insert(AUTHORIZATION, value);
        }
        let user_written = spec.basic.is_some() || spec.headers.iter().any(|(name, _)| name == AUTHORIZATION);
        let host_written = spec.headers.iter().any(|(name, _)| name == HOST);
        let credentials =
            dynamic.iter().map(|(name, _)| name).filter(|name: &&HeaderName| carries_secret(name.as_str())).cloned().collect();
        let body_has_secrets = match &spec.body {
            Body::Form(fields) => fields.iter().any(|(name, value)| !value.is_static() && Naming::of(name) != Naming::Open),
            Body::Json(template) => template.may_hold_secrets(),
            Body::Empty | Body::Static(_) | Body::Text(_) | Body::Multipart(_) => false,
        };
        let (base, address) = (None, None);
        let mut request =
            Self { base, address, headers, dynamic, credentials, body_has_secrets, host_written, user_written, spec };
        request.resolve_static()?;
        Ok(request)
    }

    fn resolve_static(&mut self) -> Result<(), BuildError> {
        let spec = &self.spec;
        let failed = |url: &str| {
            let url = url.to_owned();
            move |error| BuildError::Url { url, error }
        };
        if let Some(Template::Static(text)) = &spec.base_url {
            let base = Base::of_paths(text, &spec.way).map_err(failed(text))?;
            if self.user_written && base.origin.user.is_some() && !spec.url.as_static().is_some_and(is_absolute) {
                return Err(BuildError::TwoUsers);
            }
            self.base = Some(base);
        }
        let known = matches!(spec.base_url, None | Some(Template::Static(_)));
        let Template::Static(text) = &spec.url else { return Ok(()) };
        if !known || !spec.query.iter().all(|(_, value)| value.is_static()) {
            return Ok(());
        }
        let mut query = String::new();
        for (name, value) in &spec.query {
            if let Template::Static(value) = value {
                push_query(&mut query, name, value);
            }
        }
        let address = Address::resolve(self.base.as_ref(), text, &query, &spec.way).map_err(failed(text))?;
        allowed(spec, &address).map_err(failed(text))?;
        if !self.host_written {
            self.headers.insert(HOST, address.origin.host.clone());
        }
        if let Some(user) = &address.origin.user {
            if self.user_written {
                return Err(BuildError::TwoUsers);
            }
            self.headers.insert(AUTHORIZATION, user.clone());
        }
        self.address = Some(address);
        Ok(())
    }

    /// What it was built from.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The time limit for the whole of it.
    pub fn timeout(&self) -> Duration {
        self.spec.timeout
    }

    /// Over which connections it goes.
    pub fn connections(&self) -> Connections {
        self.spec.connections
    }

    /// Where it goes, if that is the same for all users.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        let base = || self.base.as_ref().map(|base| &base.origin);
        // Behind a base only a whole URL goes elsewhere, and those of one request that varies are behind it as a rule.
        let origin = self.address.as_ref().map(|address| &address.origin).or_else(base)?;
        Some(&origin.endpoint)
    }

    /// The credentials that were rendered; those that are static are known to the plan.
    pub fn credentials(&self, prepared: &PreparedRequest<'_>) -> Sent {
        let mut values = match &prepared.address {
            Rendered::Once(_) => Vec::new(),
            Rendered::Now(address) => secrets_of_query(address),
        };
        match (&self.spec.body, &prepared.body) {
            (Body::Form(_), Payload::Once(form)) if self.body_has_secrets => {
                values.extend(secrets_of_form(&String::from_utf8_lossy(form)));
            }
            (Body::Json(_), Payload::Once(json)) if self.body_has_secrets => {
                values.extend(secrets_of_answer(&String::from_utf8_lossy(json)));
            }
            (Body::Multipart(multipart), Payload::Streamed(upload)) => values.extend(multipart.secrets(upload)),
            _ => {}
        }
        let Rendered::Now(headers) = &prepared.headers else { return Sent { headers: Vec::new(), values } };
        let user = headers.get(AUTHORIZATION).filter(|user| self.headers.get(AUTHORIZATION) != Some(user));
        let user = user.filter(|_| !self.credentials.contains(&AUTHORIZATION));
        let headers = self.credentials.iter().flat_map(|name| headers.get_all(name)).chain(user).cloned().collect();
        Sent { headers, values }
    }

    /// The credentials that are the same for all users and don't stand in the profile as they are sent.
    pub fn constant_credentials(&self) -> Sent {
        let base = || self.base.as_ref()?.origin.user.as_ref();
        let user = self.headers.get(AUTHORIZATION).or_else(base);
        Sent {
            headers: user.cloned().into_iter().collect(),
            values: self.address.as_ref().map(secrets_of_query).unwrap_or_default(),
        }
    }

    /// Renders it for the user whose scope it is. Where all is static nothing is allocated.
    ///
    /// # Errors
    /// An expression that cannot be evaluated, or whose result cannot stand where it is to stand.
    pub fn prepare(&self, scope: &Scope) -> Result<PreparedRequest<'_>, EvalError> {
        let address = match &self.address {
            Some(address) => Rendered::Once(address),
            None => Rendered::Now(self.render_address(scope)?),
        };
        let varies = self.spec.basic.as_ref().is_some_and(|(user, password)| !user.is_static() || !password.is_static());
        let mut headers = match (&address, self.dynamic.is_empty() && !varies) {
            (Rendered::Once(_), true) => Rendered::Once(&self.headers),
            _ => Rendered::Now(self.render_headers(scope, &address)?),
        };
        let body = match &self.spec.body {
            Body::Multipart(multipart) => {
                let (upload, content_type) = multipart.render(scope)?;
                let mut all = headers.into_owned();
                all.insert(CONTENT_TYPE, content_type);
                headers = Rendered::Now(all);
                Payload::Streamed(Box::new(upload))
            }
            _ => Payload::Once(self.render_body(scope)?),
        };
        Ok(PreparedRequest { address, headers, body })
    }

    fn render_address(&self, scope: &Scope) -> Result<Address, EvalError> {
        let spec = &self.spec;
        let mut text = String::new();
        let rendered;
        let base = match (&self.base, &spec.base_url) {
            (None, Some(template)) => {
                template.text(scope, &mut text)?;
                rendered = Base::of_paths(&text, &spec.way).map_err(|error| unusable("base_url", &error))?;
                text.clear();
                Some(&rendered)
            }
            (base, _) => base.as_ref(),
        };
        let mut query = String::new();
        for (name, value) in &spec.query {
            value.text(scope, &mut text)?;
            push_query(&mut query, name, &text);
            text.clear();
        }
        spec.url.url(scope, &mut text)?;
        let address = Address::resolve(base, &text, &query, &spec.way).map_err(|error| unusable("url", &error))?;
        allowed(spec, &address).map_err(|error| unusable("url", &error))?;
        Ok(address)
    }

    fn render_headers(&self, scope: &Scope, address: &Rendered<'_, Address>) -> Result<HeaderMap, EvalError> {
        let mut headers = self.headers.clone();
        if let Rendered::Now(address) = address {
            if !self.host_written {
                headers.insert(HOST, address.origin.host.clone());
            }
            match &address.origin.user {
                Some(_) if self.user_written => return Err(EvalError::new("url", TWO_USERS)),
                Some(user) => drop(headers.insert(AUTHORIZATION, user.clone())),
                None => {}
            }
        }
        if let Some((user, password)) =
            self.spec.basic.as_ref().filter(|(user, password)| !user.is_static() || !password.is_static())
            && let Some(value) = self.render_basic(user, password, scope)?
        {
            headers.insert(AUTHORIZATION, value);
        }
        for (name, template) in &self.dynamic {
            let mut text = String::new();
            match template.text(scope, &mut text) {
                Err(error) if error.is_of_undefined() && self.spec.may_lack.contains(name) => continue,
                rendered => rendered?,
            }
            let value = HeaderValue::try_from(text).map_err(|_| {
                EvalError::new(name.as_str(), "the header's value has a character that headers cannot carry (a line break?)")
            })?;
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }

    /// `Authorization`, unless it may be left out and uses what is undefined.
    fn render_basic(&self, user: &Template, password: &Template, scope: &Scope) -> Result<Option<HeaderValue>, EvalError> {
        let mut texts = [String::new(), String::new()];
        for (template, text) in [user, password].into_iter().zip(&mut texts) {
            match template.text(scope, text) {
                Err(error) if error.is_of_undefined() && self.spec.may_lack.contains(&AUTHORIZATION) => return Ok(None),
                rendered => rendered?,
            }
        }
        let mut value = HeaderValue::try_from(basic(&texts[0], &texts[1])).ok();
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(value)
    }

    fn render_body(&self, scope: &Scope) -> Result<Bytes, EvalError> {
        match &self.spec.body {
            // The last is made as it is sent.
            Body::Empty | Body::Multipart(_) => Ok(Bytes::new()),
            Body::Static(bytes) => Ok(bytes.clone()),
            Body::Json(template) => template.render(scope),
            Body::Text(template) => {
                let mut text = String::new();
                template.text(scope, &mut text)?;
                Ok(text.into())
            }
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                let mut text = String::new();
                for (name, value) in fields {
                    value.text(scope, &mut text)?;
                    form.append_pair(name, &text);
                    text.clear();
                }
                Ok(form.finish().into())
            }
        }
    }
}

/// The values under names of secrets in a query.
fn secrets_of_query(address: &Address) -> Vec<String> {
    address.path.query().map(secrets_of_form).unwrap_or_default()
}

/// Whether the profile's `limits: {hosts}` let a request go there.
pub(super) fn allowed(spec: &Spec, address: &Address) -> Result<(), AddressError> {
    Ok(address.origin.endpoint.allowed(spec.hosts.as_deref())?)
}

/// The error does not repeat the text: it may hold what a template put there.
fn unusable(key: &str, error: &AddressError) -> EvalError {
    EvalError::new(key, format!("the result {error}"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
