# syntax=docker/dockerfile:1
# The stand-in for the weather service, so that compose.yaml needs nobody outside.
# From the top of the repository:  docker build -f servers/deploy/weather-stub.Dockerfile -t weather-stub .

FROM rust:1.95-alpine3.23 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=http-target,target=/src/target,sharing=locked \
    cargo install --locked --no-track --root /image --path servers --example weather-stub && \
    cargo install --locked --no-track --root /image --path http-test-suite --bin send-to-server

FROM scratch
COPY --from=build /image/bin/weather-stub /image/bin/send-to-server /
USER 65532:65532
EXPOSE 8003
# It does nothing that wants an ending, and as process 1 would not hear a signal that it has no handler for.
STOPSIGNAL SIGKILL
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/send-to-server", "--complete", "127.0.0.1", "8003", "GET /count HTTP/1.1"]
ENTRYPOINT ["/weather-stub"]
CMD ["0.0.0.0:8003"]
