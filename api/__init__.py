"""The service. Two kinds of process run it, and no folder below is loaded by both unless it says so.

    client ── HTTP ──▶ HTTP process                         Sampler process, on the machine with the GPU
                       http/        what a client meets     sampler/   loads and runs the models
                       generation/  a request to a shape ◀── slices of denoising steps ──▶
                       jobs/        work without a client

Both load what lies directly in api/ (settings, errors, schemas, messages between them) and process/ and telemetry/.
"""
