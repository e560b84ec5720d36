# The gateway as an image: any command of `gateway`, as a user of its own, on a root filesystem that may be read-only.
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The dependencies change seldom: their layers stay in the builder's cache while the code changes. With the extras `report` (the
# page offers reports), `sm2` and `otel` (an image's settings can ask for either, and nothing can be installed in it any more);
# without `demo`: there is no broker to be started from in here, and the demo finds the one that it is given.
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
# Nothing is written beside the code; what Faust and Python want to write goes to /tmp.
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
WORKDIR /tmp
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
ENTRYPOINT ["gateway"]
CMD ["--help"]
