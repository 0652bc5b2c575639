//! Spans, and the way that they take to the collector.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::{
    Context, KeyValue,
    propagation::TextMapPropagator,
    trace::{Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _},
};
use opentelemetry_http::{HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan},
};
use tokio::{runtime::Handle, time::timeout};
use tracing::warn;

use super::{Settings, SetupError, Traceparent};
use model::route::Label;

/// Makes spans, and sends them in batches from a thread of its own.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// What is known of one request; told to the collector when it ends.
#[derive(Debug)]
pub struct Span(SdkSpan);

/// Speaks HTTP to the collector, on the control plane.
#[derive(Clone, Debug)]
struct Sender {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

// === impl Traces ===

impl Traces {
    /// Begins; the collector need not be there.
    pub fn start(settings: &Settings, runtime: Handle) -> Result<Self, SetupError> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { client, runtime })
            .with_endpoint(settings.endpoint.to_string())
            .with_timeout(SEND_TIMEOUT)
            .build()
            .map_err(|error| SetupError::Exporter(error.to_string()))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(version)
            .build();
        let share = Sampler::TraceIdRatioBased(f64::from(settings.percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Self { provider, tracer })
    }

    /// A request begins. Its trace is continued from the head if whoever sent that is trusted.
    pub fn begin(&self, continued: Option<&HeaderMap>) -> Span {
        let parent = continued.map_or_else(Context::new, |headers| {
            let extractor = HeaderExtractor(headers);
            TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor)
        });
        debug_assert!(continued.is_some() || !parent.has_active_span());
        let builder = self
            .tracer
            .span_builder("request")
            .with_kind(SpanKind::Server);
        Span(self.tracer.build_with_context(builder, &parent))
    }

    /// Sends what is left, for a few seconds at most. Blocks.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            warn!(%error, "not all traces were sent");
        }
    }
}

// === impl Span ===

impl Span {
    /// Its place in the trace, for who continues it.
    pub fn traceparent(&self) -> Traceparent {
        let context = self.0.span_context();
        Traceparent {
            trace: context.trace_id().to_bytes(),
            span: context.span_id().to_bytes(),
            sampled: context.is_sampled(),
        }
    }

    /// The answer begins. Names of rooms, queries and people are not told.
    pub fn end(mut self, method: &Method, route: Label, status: StatusCode, id: String) {
        if !self.0.is_recording() {
            return;
        }
        let method = known(method);
        self.0.update_name(format!("{method} {}", route.as_str()));
        self.0.set_attributes([
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route.as_str()),
            KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
            KeyValue::new("gateway.request", id),
        ]);
        if status.is_server_error() {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

// === impl Sender ===

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let answer = client.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        // The thread that waits for this has no runtime.
        let sending = self
            .runtime
            .spawn(async move { timeout(SEND_TIMEOUT, exchange).await });
        sending.await??
    }
}

/// Anything else would be a value that a client made up.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = KNOWN.into_iter().find(|known| method == known);
    known.unwrap_or("_OTHER")
}

/// Spans are worth no more waiting; the next batch may get through.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Collectors answer with next to nothing.
const MAX_ANSWER: usize = 64 * 1024;
