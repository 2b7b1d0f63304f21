# One image for all roles: the api, the workers, the console, rq-dashboard and the example CRM. It contains no secrets and no settings.

FROM python:3.13-slim AS build
WORKDIR /src
# The dependencies come first, with their hashes checked: this layer is cached until the lock file changes.
COPY requirements.lock ./
RUN pip download --no-cache-dir --require-hashes --only-binary :all: --dest wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE _deskbell_pytest.py ./
COPY api api
COPY workers workers
COPY shared shared
COPY console console
COPY deskbell deskbell
COPY examples examples
# The commit that `deskbell --version` shows, if it is given.
ARG COMMIT=
RUN if [ -n "$COMMIT" ]; then echo "$COMMIT" > shared/commit; fi
# Nothing is downloaded from here on. The lock file also covers the wheel's builder and development; the image gets only
# what its roles import.
RUN pip wheel --no-index --find-links wheels --no-deps --wheel-dir wheels . \
    && python -m venv --without-pip /opt/deskbell \
    && pip --python /opt/deskbell/bin/python install --no-index --find-links wheels 'deskbell[console,dashboard,otel,postgres]'

# With what `deskbell dev` needs; the code is what is mounted on /src.
FROM build AS build-dev
RUN pip --python /opt/deskbell/bin/python install --no-index --find-links wheels --editable '.[dev]'

FROM python:3.13-slim AS base
# A volume that is mounted on /data or /var/lib/deskbell for the first time takes its owner from here.
RUN useradd --system --uid 10001 --user-group --no-create-home deskbell \
    && install --directory --owner deskbell --group deskbell /data /app \
    && install --directory --owner deskbell --group deskbell --mode 700 /var/lib/deskbell
ENV PATH=/opt/deskbell/bin:$PATH
# Images made `FROM` this one install their packages here with `pip install`.
ENV PIP_PYTHON=/opt/deskbell/bin/python
# No module is imported from the current folder of a command.
ENV PYTHONSAFEPATH=1
ENV PYTHONUNBUFFERED=1

# What `docker compose up dev` runs; nothing else needs it.
FROM base AS dev
COPY --from=build-dev /opt/deskbell /opt/deskbell
USER deskbell
WORKDIR /data
CMD ["deskbell", "dev"]

FROM base
COPY --from=build /opt/deskbell /opt/deskbell
USER deskbell
WORKDIR /app
EXPOSE 8000
CMD ["deskbell", "api", "--host", "0.0.0.0", "--port", "8000"]
