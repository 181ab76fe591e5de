# Two images: the client, see docs/running.md, and with --target dashboard the page, see docs/dashboard.md.
#   docker build --tag user_classifier .
# In production pin the base image by its digest: --build-arg BASE=python:3.12-slim@sha256:...
ARG BASE=python:3.12-slim

FROM ${BASE} AS packages
COPY requirements.lock deploy/sbom.lock /
# pip and what writes the SBOM are installed in /tools only. Tests are a fifth of the packages; those of numpy are needed
# by numpy itself.
RUN python3 -m venv /tools && python3 -m venv --without-pip /venv \
 && /tools/bin/pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --no-deps \
    --no-compile --only-binary :all: --require-hashes -r /requirements.lock \
 && /tools/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps \
    --only-binary :all: --require-hashes -r /sbom.lock \
 && find /venv -type d -name tests -not -path '*/numpy/*' -prune -exec rm -r {} +
RUN mkdir /app \
 && /tools/bin/cyclonedx-py environment --output-reproducible --output-file /app/sbom.cdx.json /venv/bin/python
COPY user_classifier.py /app/
COPY classifier /app/classifier
# Unchecked: image layers round modification times, so Python would compile the files again at each start.
# The files have the permissions of the clone, in which other accounts may have none (umask 077), or all.
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app \
 && chmod -R u=rwX,go=rX /venv /app

FROM packages AS dashboard-packages
COPY dashboard/requirements.lock /
RUN /tools/bin/pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --no-deps \
    --no-compile --only-binary :all: --require-hashes -r /requirements.lock \
 && find /venv -type d -name tests -not -path '*/numpy/*' -prune -exec rm -r {} +
RUN /tools/bin/cyclonedx-py environment --output-reproducible --output-file /app/sbom.cdx.json /venv/bin/python
COPY dashboard /app/dashboard
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app \
 && chmod -R u=rwX,go=rX /venv /app

FROM ${BASE} AS runtime
ARG BASE
ARG REVISION=unknown
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
# pip is not needed at run time.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/pip*
# Nothing is written at run time, so the root file system may be read-only.
ENV PATH="/venv/bin:${PATH}" PYTHONDONTWRITEBYTECODE=1

FROM runtime AS dashboard
LABEL org.opencontainers.image.title="user_classifier dashboard" \
      org.opencontainers.image.description="Show the labels of users in a browser"
COPY --from=dashboard-packages /venv /venv
COPY --from=dashboard-packages /app /app
# Streamlit looks for its settings at home, which a user without an entry in /etc/passwd does not have.
ENV HOME=/app
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python", "-m", "dashboard"]

FROM runtime
LABEL org.opencontainers.image.title="user_classifier" \
      org.opencontainers.image.description="Label users by K-means, live, from a Kafka topic"
COPY --from=packages /venv /venv
COPY --from=packages /app /app
# Only the health check uses METRICS_PORT. Without --metrics-port, a running client counts as healthy.
ENV METRICS_PORT=9400
WORKDIR /app
# Any other user and group can run it, too: all files are readable by everyone.
USER 10001:10001
HEALTHCHECK --start-period=60s --timeout=5s CMD ["python", "-c", "import os, urllib.request as r; b'--metrics-port' in open('/proc/1/cmdline', 'rb').read() and r.urlopen('http://127.0.0.1:' + os.environ['METRICS_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["python", "user_classifier.py"]
