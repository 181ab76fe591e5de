# The image of the client, see docs/running.md: docker build --tag user_classifier .
ARG BASE=python:3.12-slim

FROM ${BASE} AS packages
COPY requirements.lock /
# pip is installed in /tools only. Tests are a fifth of the packages; those of numpy are needed by numpy itself.
RUN python3 -m venv /tools && python3 -m venv --without-pip /venv \
 && /tools/bin/pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --no-deps \
    --no-compile --only-binary :all: --require-hashes -r /requirements.lock \
 && find /venv -type d -name tests -not -path '*/numpy/*' -prune -exec rm -r {} +
COPY user_classifier.py /app/
COPY classifier /app/classifier
# Unchecked: image layers round modification times, so Python would compile the files again at each start.
# The files have the permissions of the clone, in which other accounts may have none (umask 077), or all.
RUN /venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /venv/lib /app \
 && chmod -R u=rwX,go=rX /venv /app

FROM ${BASE}
# pip is not needed at run time.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.*/ensurepip /usr/local/lib/python3.*/site-packages/pip*
COPY --from=packages /venv /venv
COPY --from=packages /app /app
# Nothing is written at run time, so the root file system may be read-only. Only the health check uses METRICS_PORT.
ENV PATH="/venv/bin:${PATH}" PYTHONDONTWRITEBYTECODE=1 METRICS_PORT=9400
WORKDIR /app
USER 10001:10001
# Without --metrics-port, a running client counts as healthy.
HEALTHCHECK --start-period=60s --timeout=5s CMD ["python", "-c", "import os, urllib.request as r; b'--metrics-port' in open('/proc/1/cmdline', 'rb').read() and r.urlopen('http://127.0.0.1:' + os.environ['METRICS_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["python", "user_classifier.py"]
