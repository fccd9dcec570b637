#!/bin/sh
# Submits a job, follows its events through every cut of the connection, and prints its report.
#   FRUGAL_URL=http://127.0.0.1:8080 FRUGAL_API_KEY=frugal_… sh curl.sh job.json
# Events go to stderr, the report to stdout. It needs curl and nothing else.
set -eu
job=${1:?usage: curl.sh job.json}
url=${FRUGAL_URL:-http://127.0.0.1:8080}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

# The key stands in a file that only we may read: everybody may read the arguments of a process.
(umask 077 && : >"$folder/headers")
[ -z "${FRUGAL_API_KEY:-}" ] || printf 'Authorization: Bearer %s\n' "$FRUGAL_API_KEY" >"$folder/headers"
ask() {
  curl --silent --show-error --fail-with-body --header "@$folder/headers" "$@"
}

# With a key of its own the request may be sent again until it is answered, and makes one job.
once=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
ask --retry 5 --retry-connrefused --header "Idempotency-Key: $once" --header 'Content-Type: application/json' \
  --data-binary "@$job" --dump-header "$folder/head" --output "$folder/answer" "$url/jobs" || {
  cat "$folder/answer" >&2
  exit 1
}
path=$(sed -n 's/^[Ll]ocation: *//p' "$folder/head" | tr -d '\r' | tail -n 1)
echo "$url$path" >&2

# A frame is told once it is whole, and the next connection goes on after it. Between two frames nothing is lost.
tell() {
  id='' event=''
  while IFS= read -r line; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'event: '*) event=${line#event: } ;;
      '')
        [ -z "$event" ] || {
          echo "$id $event" >&2
          echo "$id" >"$folder/last"
        }
        case $event in job.succeeded | job.failed | job.cancelled) echo "$event" >"$folder/end" ;; esac
        id='' event=''
        ;;
    esac
  done
}

echo 0 >"$folder/last"
failures=0
while [ ! -e "$folder/end" ]; do
  {
    code=0
    ask --no-buffer --max-time 600 --header 'Accept: text/event-stream' \
      --header "Last-Event-ID: $(cat "$folder/last")" "$url$path/events" 2>"$folder/error" || code=$?
    echo "$code" >"$folder/code"
  } | tell
  # 22: the server answers with an error. One that lasts will not go away.
  if [ "$(cat "$folder/code")" = 22 ]; then
    failures=$((failures + 1))
    [ "$failures" -lt 5 ] || {
      cat "$folder/error" >&2
      exit 1
    }
  fi
  [ -e "$folder/end" ] || sleep 1
done

ask --retry 5 --retry-connrefused "$url$path/report"
