# jimbotd, and nothing else.
#
#   docker build -t jimbotd .
#   jimbotd --make-token mod publish,command     # the second line belongs into the file `tokens`
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/tokens:/run/jimbotd/tokens:ro" jimbotd
#
# Inside the container others can reach the address, so it asks for tokens: a file of mode 0600 that
# belongs to the user id it runs with, 1000 unless --user says another.
#
# The bus lies in /dev/shm of the container. Programs outside reach it with --ipc=host and the same
# user id: --user "$(id -u)".
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY tools/apt-packages.txt tools/
RUN apt-get update -q \
    && awk '/^\[/ { on = ($1 == "[build]"); next } on && NF && $1 !~ /^#/ { print $1 }' \
        tools/apt-packages.txt | xargs apt-get install -q -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN meson setup /build --prefix=/usr --libdir=lib --buildtype=release -Dstrip=true \
        -Dtests=false -Dpython=disabled -Dlua=disabled -Dhost=enabled \
    && ninja -C /build \
    && meson install -C /build --no-rebuild --destdir /root-of-jimbotd \
    && rm -rf /root-of-jimbotd/usr/include /root-of-jimbotd/usr/lib/pkgconfig

FROM debian:bookworm-slim
RUN apt-get update -q \
    && apt-get install -q -y --no-install-recommends libuv1 libjansson4 libinih1 libnghttp2-14 libssl3 libwslay1 \
        libzstd1 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1000 --user-group --no-create-home jimbot
COPY --from=build /root-of-jimbotd /
USER jimbot
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /health HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && head -n 1 <&3 | grep -q ' 200 '"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["jimbotd", "--http", "0.0.0.0:8080", "--listen-public", "--tokens", "/run/jimbotd/tokens"]
