// Two instrumentations that report the same pages: document-load and user-interaction as spans, browser-navigation as log records.
import { ZoneContextManager } from "@opentelemetry/context-zone"
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { registerInstrumentations } from "@opentelemetry/instrumentation"
import { BrowserNavigationInstrumentation } from "@opentelemetry/instrumentation-browser-navigation"
import { DocumentLoadInstrumentation } from "@opentelemetry/instrumentation-document-load"
import { UserInteractionInstrumentation } from "@opentelemetry/instrumentation-user-interaction"
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs"
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web"
import { createSessionLogRecordProcessor, createSessionSpanProcessor } from "@opentelemetry/web-common"

const provider = { getSessionId: () => (sessionStorage.sessionId ??= crypto.randomUUID()) }
const tracerProvider = new WebTracerProvider({
  spanProcessors: [
    createSessionSpanProcessor(provider),
    new BatchSpanProcessor(new OTLPTraceExporter({ url: "https://FURROW/intake/otlp/KEY/v1/traces" })),
  ],
})
tracerProvider.register({ contextManager: new ZoneContextManager() })
const loggerProvider = new LoggerProvider({
  processors: [
    createSessionLogRecordProcessor(provider),
    new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url: "https://FURROW/intake/otlp/KEY/v1/logs" }) }),
  ],
})
registerInstrumentations({
  tracerProvider,
  loggerProvider,
  instrumentations: [
    new BrowserNavigationInstrumentation(),
    new DocumentLoadInstrumentation(),
    new UserInteractionInstrumentation({ eventNames: ["click"] }),
  ],
})
document.addEventListener("DOMContentLoaded", () =>
  document.getElementById("pay").addEventListener("click", () => history.pushState({}, "", "/done")),
)
