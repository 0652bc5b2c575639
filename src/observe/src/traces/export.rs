//! Spans, exported to the collector by OTLP over HTTP.

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

use super::{Traceparent, TracesSettings, TracesSetupError};
use model::route::Label;

/// Creates spans; a background thread sends them in batches.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// The span of one request; exported when it ends.
#[derive(Debug)]
pub struct RequestSpan(SdkSpan);

/// The HTTP client of the exporter, on the control plane's runtime.
#[derive(Clone, Debug)]
struct CollectorClient {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

// === impl Traces ===

impl Traces {
    /// Starts the exporter. An unreachable collector is no error.
    pub fn start(settings: &TracesSettings, runtime: Handle) -> Result<Self, TracesSetupError> {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(CollectorClient { client, runtime })
            .with_endpoint(settings.endpoint.to_string())
            .with_timeout(SEND_TIMEOUT)
            .build()
            .map_err(|error| TracesSetupError::Exporter(error.to_string()))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name(SERVICE_NAME)
            .with_attribute(version)
            .build();
        let share = Sampler::TraceIdRatioBased(f64::from(settings.percent) / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer(SERVICE_NAME);
        Ok(Self { provider, tracer })
    }

    /// Starts the span of a request. `continued` is the request's head if its sender may set the
    /// trace context.
    pub fn begin(&self, continued: Option<&HeaderMap>) -> RequestSpan {
        let parent = continued.map_or_else(Context::new, |headers| {
            let extractor = HeaderExtractor(headers);
            TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor)
        });
        debug_assert!(continued.is_some() || !parent.has_active_span());
        let builder = self
            .tracer
            .span_builder("request")
            .with_kind(SpanKind::Server);
        RequestSpan(self.tracer.build_with_context(builder, &parent))
    }

    /// Flushes the remaining spans, for at most five seconds. Blocks.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            warn!(%error, "cannot flush all traces");
        }
    }
}

// === impl RequestSpan ===

impl RequestSpan {
    /// The trace context for upstream requests.
    pub fn traceparent(&self) -> Traceparent {
        let context = self.0.span_context();
        Traceparent {
            trace: context.trace_id().to_bytes(),
            span: context.span_id().to_bytes(),
            sampled: context.is_sampled(),
        }
    }

    /// Ends the span when the response's head is sent. No attribute names a room or a person.
    pub fn end(mut self, method: &Method, route: Label, status: StatusCode, id: String) {
        if !self.0.is_recording() {
            return;
        }
        let method = method_name(method);
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

// === impl CollectorClient ===

#[async_trait]
impl HttpClient for CollectorClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let answer = client.request(request.map(Full::new)).await?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?;
            Ok::<_, HttpError>(Response::from_parts(head, body.to_bytes()))
        };
        // The exporter's thread has no runtime.
        let sending = self
            .runtime
            .spawn(async move { timeout(SEND_TIMEOUT, exchange).await });
        sending.await??
    }
}

/// `_OTHER` for unknown methods (OpenTelemetry HTTP conventions): bounds the attribute's values.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let known = KNOWN.into_iter().find(|known| method == known);
    known.unwrap_or("_OTHER")
}

/// `service.name` of the resource, as in the OpenTelemetry semantic conventions.
const SERVICE_NAME: &str = "jitsi-auth-gateway";

/// Limit per batch; a collector on the local network responds within milliseconds.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// OTLP responses are nearly empty, so a larger one is not from a collector.
const MAX_ANSWER: usize = 64 * 1024;
