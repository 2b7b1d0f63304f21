"""Traces (OpenTelemetry): from a callback through its event to every attempt at its jobs, and to what they call.

They are sent when the extra `deskbell[otel]` is installed and the environment names a collector; else every span is
one that nobody records, and nothing of OpenTelemetry is imported.

Read in this order: `spans` (which spans there are, and what they say), `span` (a span, and the tracer of this
process), `environment` (whether traces are sent, and where), `sending` (from a process's start to its end), `sdk`
(OpenTelemetry), `relay` (spans of a job's child process, which its worker sends).
"""
