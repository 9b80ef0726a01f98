# Starts a service for the script that reads this file, until that ends. It takes `service`, the
# binary, and `token`, and sets `work`, a folder, and `url`.

work=$(mktemp -d)
mkfifo "$work/out"
"$service" --listen 127.0.0.1:0 --token "$token" --db "$work/db" --exit-with-parent \
    >"$work/out" 2>"$work/err" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# The one line on standard output comes when the service listens, or never.
line=
read -r line <"$work/out" || true
case $line in
"listening on http"*) url=${line#listening on } ;;
*)
    echo "the service did not start:" >&2
    cat "$work/err" >&2
    exit 1
    ;;
esac
