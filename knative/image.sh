#!/bin/sh
# Builds the image of the functions and loads it into the Minikube or kind that kubectl uses.
# `make image` runs it; these variables change what it does:
#
#   IMAGE    the image's name; the default is dev.local/taskflow:dev
#   TARGET   system builds the image of the whole system, dev.local/taskflow-system:dev
#   BASE     the image to build on, in place of the one that the Dockerfile names
#   BUILDER  docker, podman or buildah; the default is the first of them that works
set -eu
cd "$(dirname "$0")/.."

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

target=${TARGET:-functions}
case $target in
    functions) image=${IMAGE:-dev.local/taskflow:dev} ;;
    system) image=${IMAGE:-dev.local/taskflow-system:dev} ;;
    *) fail "TARGET is functions or system, not $target." ;;
esac

# A client of docker may be there without its daemon; `info` tells.
builder=
for each in ${BUILDER:-docker podman buildah}; do
    if "$each" info >/dev/null 2>&1; then
        builder=$each
        break
    fi
done
if [ -z "$builder" ]; then
    [ -z "${BUILDER:-}" ] || fail "BUILDER: $BUILDER does not work here."
    fail "An image is built by docker, podman or buildah, and none of them works here: install one, or start docker's daemon."
fi

set -- build --target "$target" --tag "$image"
[ -z "${BASE:-}" ] || set -- "$@" --build-arg "BASE=$BASE"
[ "$builder" = docker ] || set -- "$@" --layers
DOCKER_BUILDKIT=1 "$builder" "$@" .
echo "Built $image with $builder."

[ "$target" = functions ] || exit 0
context=$(kubectl config current-context 2>/dev/null) || context=
case $context in
    kind-*) cluster=kind ;;
    ?*) if minikube status --profile "$context" >/dev/null 2>&1; then cluster=minikube; else cluster=; fi ;;
    *) cluster= ;;
esac
if [ -z "$cluster" ]; then
    echo "It is loaded nowhere: ${context:-what kubectl uses} is neither Minikube nor kind. A cluster pulls it from where you push it."
    exit 0
fi

# All three builders write, and both clusters read, such an archive.
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=$folder/image.tar
case $builder in
    buildah) buildah push --quiet "$image" "docker-archive:$archive:$image" ;;
    *) "$builder" save --output "$archive" "$image" ;;
esac
case $cluster in
    kind) kind load image-archive "$archive" --name "${context#kind-}" ;;
    minikube) minikube image load "$archive" --profile "$context" ;;
esac
echo "Loaded $image into $context."
