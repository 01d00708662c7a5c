# Furrow for server mode: one image for the collector, the lander, the workers and the deployment; compose.yaml says which
# container runs what. It holds no secret: addresses and passwords come from the environment.
FROM python:3.11.14-slim-bookworm@sha256:65a93d69fa75478d554f4ad27c85c1e69fa184956261b4301ebaf6dbb0a3543d

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PREFECT_HOME=/data/prefect \
    FURROW_DATA_DIR=/data

WORKDIR /opt/furrow

# The exact versions first: they change less often than the code, and their layer is kept. The lock is complete, so that nothing
# is resolved here, and pip takes no file but those whose hashes it names.
COPY requirements-run.lock ./
RUN python -m pip install --no-deps --require-hashes -r requirements-run.lock && python -m pip check

COPY pyproject.toml setup.py prefect.yaml README.md LICENSE THIRD_PARTY_LICENSES.md ./
COPY blocks blocks
COPY browser/dist browser/dist
COPY collector collector
COPY core core
COPY flows flows
COPY furrow furrow
COPY incidents incidents
COPY lander lander
COPY schema schema
COPY stores stores
COPY tasks tasks
COPY trackers trackers
COPY ufse ufse
# In place, not copied elsewhere: deployments are registered from the prefect.yaml that lies beside the code.
RUN python -m pip install --no-deps --no-build-isolation -e .

RUN useradd --system --uid 10001 --create-home --shell /usr/sbin/nologin furrow \
    && install --directory --owner=furrow --group=furrow --mode=0700 /data
USER furrow
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["python", "-m", "collector"]
