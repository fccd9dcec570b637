# One image for servers and workers; docker-compose.yml says which is which.
FROM rust:1.95-bookworm AS build
# Such as `otlp`, which sends traces: docker build --build-arg FEATURES=otlp .
ARG FEATURES=""
WORKDIR /frugal
COPY . .
ENV SQLX_OFFLINE=true
RUN cargo build --release --locked --package frugal --features "$FEATURES"

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/frugal frugal
COPY --from=build /frugal/target/release/frugal /usr/local/bin/frugal
USER frugal
WORKDIR /var/lib/frugal
ENTRYPOINT ["frugal"]
CMD ["serve"]
