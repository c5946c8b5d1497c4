# syntax=docker/dockerfile:1
# One image for the API, every worker and the migrations; the command chooses.
#   docker build --target cpu  -t echoshotx:0.1.0-cpu  .
#   docker build --target cuda -t echoshotx:0.1.0-cuda .

FROM python:3.11.14-slim-trixie AS packages
RUN python -m venv /opt/venv
COPY requirements-runtime.lock /tmp/
# The lock is the whole closure with hashes, hence --no-deps (see pyproject.toml).
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements-runtime.lock

FROM packages AS cuda-packages
COPY requirements-cuda.lock /tmp/
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /tmp/requirements-cuda.lock

FROM python:3.11.14-slim-trixie AS cpu
# tini reaps what a killed engine leaves behind and passes SIGTERM on, so that a worker hands its segments back.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin echoshot \
    && install -d -o echoshot -g echoshot /var/lib/echoshot
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ECHOSHOT_WORK_DIR=/var/lib/echoshot
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
USER 10001:10001
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "api"]

# The NVIDIA container runtime mounts the driver for the capabilities named here. An engine's limit is raised: PyTorch
# alone, before it meets a GPU, counts 0.9 GB against it (docs/adr/016).
FROM cpu AS cuda
COPY --from=cuda-packages /opt/venv /opt/venv
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ECHOSHOT_ENGINE_MEMORY_BYTES_MAX=8589934592
