#!/usr/bin/env bash
# With curl: health, a shape as JSON, the same shape as a GLB, and its progress as it happens.
set -euo pipefail
# Proxies that the environment names are for other machines than this one.
export no_proxy="localhost,127.0.0.1,::1,${no_proxy:-${NO_PROXY:-}}"
url="${XCUBE_URL:-http://localhost:8000}"
request='{"prompt": "a round table", "seed": 7}'
json='Content-Type: application/json'

curl -fsS --max-time 5 "$url/health"
curl -fsS --max-time 300 "$url/generate" -H "$json" -d "$request" -o table.json
curl -fsS --max-time 300 "$url/generate?format=glb" -H "$json" -d "$request" -o table.glb
curl -fsS --max-time 300 "$url/generate" -H "$json" -H 'Accept: model/stl' -d "$request" -o table.stl
curl -fsS --max-time 300 -N "$url/generate" -H "$json" -H 'Accept: text/event-stream' -d "$request" | grep -A1 progress

# An error is told in the body, which --fail would hide.
curl -sS --max-time 300 "$url/generate" -H "$json" -d '{"prompt": ""}'
