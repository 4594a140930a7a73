# syntax=docker/dockerfile:1
# async-server, the demo application with event loops: no shell, no libc, no root beside it.
# From the top of the repository:  docker build -f servers/deploy/async-server.Dockerfile -t async-server .

FROM rust:1.95-alpine3.23 AS build
WORKDIR /src
COPY . .
# Alpine's own target is musl, which links statically: what comes out runs where there is nothing else. Downloads and
# compiled crates stay in mounts that all our images share, so that a changed source costs its own compilation only.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=http-target,target=/src/target,sharing=locked \
    cargo install --locked --no-track --root /image --path servers --bin async-server && \
    cargo install --locked --no-track --root /image --path http-test-suite --bin send-to-server

FROM scratch
COPY --from=build /image/bin/async-server /image/bin/send-to-server /
COPY www /www
# A number, because there is no passwd in which to look up a name. It may read the site, and owns nothing.
USER 65532:65532
EXPOSE 8002
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/send-to-server", "--complete", "127.0.0.1", "8002", "HEAD / HTTP/1.1"]
ENTRYPOINT ["/async-server"]
# The grace ends before the patience of an engine that wants to stop, which is 10 s.
CMD ["--bind", "0.0.0.0", "--port", "8002", "--root", "/www", "--grace", "8"]
