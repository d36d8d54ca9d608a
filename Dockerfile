# load-exporter, and as the target `backend` the example that it loads.
#
#   docker build -t load-exporter .
#   docker run --rm -p 127.0.0.1:10797:10797 -v "$PWD/config:/profiles:ro" load-exporter serve /profiles/quickstart.yml
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --workspace && cp target/release/load-exporter target/release/example-backend /usr/local/bin/

FROM debian:bookworm-slim AS base
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates wget && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10797 --no-create-home load
# `--build-arg REVISION=$(git rev-parse HEAD) --build-arg CREATED=$(date -u +%Y-%m-%dT%H:%M:%SZ)` says what it was built from, and when.
ARG VERSION=0.1.0 REVISION=unknown CREATED=unknown
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.licenses=Apache-2.0

FROM base AS backend
LABEL org.opencontainers.image.title="load-exporter's example backend" \
      org.opencontainers.image.description="A small service with votes and uploads, to be loaded"
COPY --from=build /usr/local/bin/example-backend /usr/local/bin/
USER load
ENV LISTEN=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["example-backend"]

FROM base AS load-exporter
LABEL org.opencontainers.image.title=load-exporter \
      org.opencontainers.image.description="Generates load from a YAML profile and measures what real users would see" \
      org.opencontainers.image.documentation=docs/operations.md
COPY --from=build /usr/local/bin/load-exporter /usr/local/bin/
RUN install -d -o load /var/lib/load-exporter
USER load
WORKDIR /var/lib/load-exporter
VOLUME /var/lib/load-exporter
EXPOSE 10797
# Any answer is a sign of life: with a web config file it may be "401" or an alert of TLS.
HEALTHCHECK --interval=5s --timeout=3s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/10797 && printf 'GET /-/healthy HTTP/1.0\\r\\n\\r\\n' >&3 && read -r -t 2 -N 1 <&3"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["load-exporter"]
CMD ["--help"]
