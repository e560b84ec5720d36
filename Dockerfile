# The gateway as an image: any command of `gateway`, as a user of its own, on a root filesystem that may be read-only.
ARG RUST_IMAGE=

# The native kernel (docs/kernel.md), where RUST_IMAGE names an image with Rust 1.88 or later (rust:1-slim-bookworm). Left out by
# default: many networks have a mirror of Python's packages and none of Rust's, and the gateway does the same without it. Built
# for Python's stable ABI, so by cargo alone. An image's name and not a stage's, since old builders resolve no stage by argument.
FROM ${RUST_IMAGE:-python:3.11-slim-bookworm} AS kernel
ARG RUST_IMAGE
WORKDIR /src
COPY kernel kernel
RUN mkdir /kernel \
 && if [ -n "$RUST_IMAGE" ]; then \
      kernel/lock \
   && PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1 cargo build --release --locked --manifest-path kernel/Cargo.toml \
   && cp kernel/target/release/libgateway_kernel.so /kernel/gateway_kernel.abi3.so; \
    fi

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The dependencies change seldom: their layers stay in the builder's cache while the code changes. With the extras `report` (the
# page offers reports), `archive`, `sm2` and `otel` (an image's settings can ask for any of them, and nothing can be installed in
# it any more); without `demo`: there is no broker to be started from in here, and the demo finds the one that it is given.
COPY .ci/requirements.txt .ci/requirements-build.txt .ci/
RUN python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --only-binary=:all: -r .ci/requirements-build.txt \
 && python -m venv --without-pip /opt/gateway \
 && /opt/build/bin/pip --python /opt/gateway/bin/python install --require-hashes --only-binary=:all: -r .ci/requirements.txt
COPY pyproject.toml README.md ./
COPY config config
COPY gateway gateway
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel . \
 && /opt/build/bin/pip --python /opt/gateway/bin/python install --no-deps /tmp/wheel/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="chuanyu-display-gateway" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.description="Sichuan-Chongqing gateway for electronic certificates that are shown: Kafka in, decided against the published recognition list, Kafka out, exactly once." \
      org.opencontainers.image.base.name="python:3.11-slim-bookworm"
COPY --from=build /opt/gateway /opt/gateway
COPY --from=kernel /kernel/ /opt/gateway/lib/python3.11/site-packages/
# Nothing is written beside the code; what Faust and Python want to write goes to /tmp.
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
# Where docker-compose.yml has the volumes of reports and archive: a new volume takes its owner from here.
RUN install -d -o 10001 -g 10001 /var/lib/chuanyu-gateway/reports /var/lib/chuanyu-gateway/archive
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
ENTRYPOINT ["gateway"]
CMD ["--help"]
