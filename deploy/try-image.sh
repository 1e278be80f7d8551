#!/usr/bin/env bash
# Builds the image of the Dockerfile where no container engine and no image
# registry are at hand, and looks at what came out. It needs root, Go, and
# Debian's packages buildah and debootstrap:
#
#   deploy/try-image.sh [FOLDER]
#
# The base that the Dockerfile names is made of Debian and the Go that is
# installed here. FOLDER (default: a temporary one) keeps it for another run.
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-$(mktemp -d)}
limit=$((45 * 1000 * 1000))
base=$(sed -n 's/^FROM \(golang:[^ ]*\) AS build$/\1/p' Dockerfile)
suite=${base##*-}
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER=vfs
export CONTAINERS_STORAGE_CONF="$work/storage.conf"
mkdir -p "$work"
cat >"$CONTAINERS_STORAGE_CONF" <<EOF
[storage]
driver = "vfs"
graphroot = "$work/graph"
runroot = "$work/run"
EOF

if [ ! -e "$work/base/etc/ssl/certs/ca-certificates.crt" ]; then
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$work/base"
fi
if ! buildah images --quiet "localhost/$base" >/dev/null 2>&1; then
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$work/base" / >/dev/null
  buildah copy --quiet "$container" "$(go env GOROOT)" /usr/local/go >/dev/null
  # This machine's certificates: it may sit behind a proxy of its own.
  buildah copy --quiet "$container" "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" /etc/ssl/certs/ca-certificates.crt >/dev/null
  buildah config --env PATH=/usr/local/go/bin:/usr/bin:/bin --env "GOPROXY=$(go env GOPROXY)" \
    --env "GOSUMDB=$(go env GOSUMDB)" --env GOTOOLCHAIN=local --env HOME=/root "$container"
  buildah commit --quiet --rm "$container" "localhost/$base" >/dev/null
fi

# The name in the Dockerfile stands for the base that was just made.
buildah build --quiet --pull=never --format docker --build-context "$base=container-image://localhost/$base" \
  --build-arg VERSION=try --tag localhost/capture-worker:try . >/dev/null

user=$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' localhost/capture-worker:try)
container=$(buildah from --pull=never localhost/capture-worker:try)
trap 'buildah rm "$container" >/dev/null' EXIT
root=$(buildah mount "$container")
size=$(du -sb --apparent-size "$root" | cut -f1)
echo "image: $size bytes, user $user, files:"
(cd "$root" && find . -type f | sort)
version=$(buildah run --user "$user" "$container" -- /capture-worker version)
echo "$version"

[ "$size" -gt 1000000 ] && [ "$size" -lt "$limit" ] || { echo "the image has $size bytes, the limit is $limit" >&2; exit 1; }
[ "$user" = 65532:65532 ] || { echo "the image runs as $user" >&2; exit 1; }
[ "$(cd "$root" && find . -type f -perm /022 | wc -l)" = 0 ] || { echo "others may write to files of the image" >&2; exit 1; }
